package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wire is a connection on which a test writes bytes.
type wire struct {
	t testing.TB
	net.Conn
	answers *bufio.Reader
}

func (s *house) dial() *wire {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return &wire{s.t, conn, bufio.NewReader(conn)}
}

// head reads an answer up to its body.
func (w *wire) head() (status string, header map[string]string) {
	w.t.Helper()
	header = map[string]string{}
	for {
		line, err := w.answers.ReadString('\n')
		if err != nil {
			w.t.Fatalf("reading an answer: %v", err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			return status, header
		}
		if status == "" {
			status = line
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		header[name] = value
	}
}

func (w *wire) body(n int) string {
	w.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(w.answers, b); err != nil {
		w.t.Fatalf("reading a body: %v", err)
	}
	return string(b)
}

// The bytes of answers, several on one connection, so that none leaves anything
// behind.
func TestBytes(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	c := s.dial()
	for _, tc := range []struct {
		request, result string
		status          string
		length, ofType  string
		body            string
	}{
		{"GET /api/v1/web/guest/default/w.text", `{"text":"hi"}`, "200 OK", "2", "text/plain; charset=UTF-8", "hi"},
		{"HEAD /api/v1/web/guest/default/w.text", `{"text":"hi"}`, "200 OK", "2", "text/plain; charset=UTF-8", ""},
		{"GET /api/v1/web/guest/default/w", `{}`, "204 No Content", "", "", ""},
		{"GET /api/v1/web/guest/default/w", `{"statusCode":204,"body":"x","headers":{"content-type":"text/plain","transfer-encoding":"chunked"}}`, "204 No Content", "", "", ""},
		{"GET /api/v1/web/guest/default/w", `{"statusCode":304,"body":"x"}`, "304 Not Modified", "", "", ""},
		{"GET /api/v1/web/guest/default/w", `{"statusCode":200}`, "200 OK", "0", "", ""},
		{"GET /api/v1/web/guest/default/w", `{"statusCode":302,"headers":{"location":"/x"}}`, "302 Found", "0", "", ""},
		{"GET /api/v1/web/guest/default/w", `{"body":"xyz","headers":{"content-length":1,"connection":"close","upgrade":"x"}}`, "200 OK", "3", "text/html; charset=UTF-8", "xyz"},
		{"HEAD /api/v1/web/guest/default/none", ``, "404 Not Found", "", "application/json", ""},
		{"GET /api/v1/web/guest/default/w.json", `{"a":1}`, "200 OK", "12", "application/json", "{\n  \"a\": 1\n}"},
	} {
		s.f.result = tc.result
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: localhost\r\n\r\n", tc.request)
		status, header := c.head()
		body := c.body(len(tc.body))
		if status != "HTTP/1.1 "+tc.status || tc.length != "" && header["Content-Length"] != tc.length || header["Content-Type"] != tc.ofType ||
			header["Transfer-Encoding"] != "" || header["Connection"] != "" || body != tc.body {
			t.Errorf("%s %s: got %s %v %q", tc.request, tc.result, status, header, body)
		}
		if mayHaveBodyIn(status) != (header["Content-Length"] != "") {
			t.Errorf("%s: Content-Length is %q", status, header["Content-Length"])
		}
	}
	if c.answers.Buffered() > 0 {
		t.Error("bytes that belong to no answer")
	}
}

func mayHaveBodyIn(status string) bool {
	return !strings.Contains(status, "204") && !strings.Contains(status, "304")
}

// A body whose size is not announced is read up to the limit, which counts the
// bytes and not how they come.
func TestChunkedBodies(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	const limit = 1 << 20
	for _, c := range []struct {
		chunks, size int
		status       int
	}{{1, 5, 200}, {16, limit / 16, 200}, {17, limit / 16, 413}} {
		req, err := http.NewRequest("POST", s.url+"/api/v1/web/guest/default/w.json", io.MultiReader(repeated(c.chunks, c.size)...))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/plain")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%d chunks of %d: %d, %v", c.chunks, c.size, resp.StatusCode, err)
		}
		if c.status == 413 && !strings.Contains(string(body), fmt.Sprintf("\"error\": \"Request larger than allowed: %d > %d bytes.\"", limit+1, limit)) {
			t.Errorf("%s", body)
		}
		if c.status == 200 && !strings.Contains(string(body), strings.Repeat("x", c.chunks*c.size)) {
			t.Errorf("%d chunks of %d did not arrive", c.chunks, c.size)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func repeated(n, size int) []io.Reader {
	all := make([]io.Reader, n)
	for i := range all {
		all[i] = strings.NewReader(strings.Repeat("x", size))
	}
	return all
}

// A body that is too large is refused before it is sent, and so is one for an
// action that does not exist.
func TestRefusedBeforeTheBody(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for name, want := range map[string]string{"w": "413", "none": "404"} {
		c := s.dial()
		fmt.Fprintf(c, "POST /api/v1/web/guest/default/%s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n", name)
		if status, _ := c.head(); !strings.HasPrefix(status, "HTTP/1.1 "+want) {
			t.Errorf("%s: %s", name, status)
		}
	}
}

// A client that stops in the middle of a body does not hold its connection for
// ever, and one that goes away harms nobody.
func TestBodyThatStops(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	s.h.pause = 20 * time.Millisecond
	c := s.dial()
	fmt.Fprint(c, "POST /api/v1/web/guest/default/w HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	if status, _ := c.head(); status != "HTTP/1.1 408 Request Timeout" {
		t.Error(status)
	}
	gone := s.dial()
	fmt.Fprint(gone, "POST /api/v1/web/guest/default/w HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	gone.Close()
	if s.f.calls > 0 {
		t.Errorf("%d calls", s.f.calls)
	}
}
