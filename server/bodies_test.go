package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A body that does not come holds up nobody, and after a chunked one, whose end
// others may see elsewhere, the connection is not used again.
func TestUnhurried(t *testing.T) {
	t.Parallel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		_, _ = io.WriteString(w, "done")
	})
	srv := httptest.NewServer(unhurried(h, 10*time.Millisecond))
	defer srv.Close()
	const smuggled = "GET /read HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, c := range []struct {
		name, request string
		answers       int
	}{
		{"no body", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + smuggled + "GET / HTTP/1.0\r\n\r\n", 3},
		{"never sent", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n", 1},
		{"sent", "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.0\r\n\r\n", 2},
		{"chunked", "POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 1},
		{"two lengths", "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			for n := range c.answers {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("answer %d: %v", n, err)
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "done" {
					t.Errorf("answer %d: %q, %v", n, body, err)
				}
			}
			if rest, _ := io.ReadAll(in); strings.Contains(string(rest), "HTTP/") {
				t.Errorf("one answer more: %q", rest)
			}
		})
	}
}
