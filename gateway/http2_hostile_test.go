package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawStreams is a client of HTTP/2 that may say anything.
type rawStreams struct {
	*testing.T
	conn    net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
}

func (r *rig) dialStreams(t *testing.T) *rawStreams {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	return openStreams(t, conn)
}

func openStreams(t *testing.T, conn net.Conn) *rawStreams {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(deadline))
	s := &rawStreams{T: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	s.encoder = hpack.NewEncoder(&s.block)
	s.framer.AllowIllegalWrites = true
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := s.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request without body and answers its status, or RESET.
func (s *rawStreams) ask(pairs ...string) (status string) {
	s.Helper()
	s.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = s.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	id := s.next
	s.next += 2
	if err := s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		s.Fatal(err)
	}
	for {
		f, err := s.framer.ReadFrame()
		if err != nil {
			s.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			s.Fatalf("%q: the connection was ended with %v", pairs, f.ErrCode)
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "RESET"
			}
		case *http2.MetaHeadersFrame:
			if status = f.PseudoValue("status"); f.StreamEnded() {
				return status
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return status
			}
		}
	}
}

// What a request over HTTP/2 says never makes a second one, or another header, of the
// one over HTTP/1.1 that the upstream is sent.
func TestStreamsCannotSmuggle(t *testing.T) {
	t.Parallel()
	up := ok(t, "hi")
	r := start(t, useHTTP2)
	defer r.stop()
	r.route("1", "/*", up.addr)
	s := r.dialStreams(t)
	with := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "http", ":path", "/p", ":authority", "h.com"}, more...)
	}
	plain := func(method, path, host string) []string {
		return []string{":method", method, ":scheme", "http", ":path", path, ":authority", host}
	}
	for _, tt := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"line break in a value", with("x-a", "1\r\nx-evil: 1"), "400"},
		{"line feed in a value", with("x-a", "1\nx-evil: 1"), "400"},
		{"zero in a value", with("x-a", "1\x00"), "400"},
		{"line break in a name", with("x-a: 1\r\nx-evil", "1"), "400"},
		{"space in a name", with("x a", "1"), "400"},
		{"colon in a name", with("x:a", "1"), "400"},
		{"transfer-encoding", with("transfer-encoding", "chunked"), "RESET"},
		{"connection", with("connection", "x-real-ip"), "RESET"},
		{"another host", with("host", "other.com"), "400"},
		{"two hosts", []string{":method", "GET", ":scheme", "http", ":path", "/p", "host", "a.com", "host", "b.com"}, "400"},
		{"no host", []string{":method", "GET", ":scheme", "http", ":path", "/p"}, "400"},
		{"space in the host", plain("GET", "/p", "h.com x"), "400"},
		{"path in the host", plain("GET", "/p", "h.com/x"), "400"},
		{"user in the host", plain("GET", "/p", "u@h.com"), "400"},
		{"line break in the host", plain("GET", "/p", "h.com\r\nX: 1"), "400"},
		{"space in the path", plain("GET", "/p HTTP/1.1\r\nX: 1", "h.com"), "400"},
		{"path without slash", plain("GET", "p", "h.com"), "400"},
		{"absolute path", plain("GET", "http://other.com/p", "h.com"), "400"},
		{"asterisk", plain("OPTIONS", "*", "h.com"), "400"},
		{"fragment", plain("GET", "/p#x", "h.com"), "400"},
		{"above the root", plain("GET", "/../p", "h.com"), "400"},
		{"zero in the path", plain("GET", "/p%00", "h.com"), "400"},
		{"space in the method", plain("GET /x", "/p", "h.com"), "400"},
		{"small method", plain("get", "/p", "h.com"), "400"},
		{"TRACE", plain("TRACE", "/p", "h.com"), "405"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "h.com:80"}, "405"},
		{"long path", plain("GET", "/"+strings.Repeat("a", 9000), "h.com"), "414"},
		{"long header", with("x-a", strings.Repeat("a", 9000)), "400"},
		{"long headers", with(slices.Repeat([]string{"x-a", strings.Repeat("a", 3000)}, 12)...), "400"},
	} {
		before := up.calls()
		if got := s.ask(tt.pairs...); got != tt.want || up.calls() != before {
			t.Errorf("%s: %s, want %s; %d calls", tt.name, got, tt.want, up.calls()-before)
		}
		if got := s.ask(plain("GET", "/next", "h.com")...); got != "200" || up.calls() != before+1 {
			t.Fatalf("%s: the next request: %s", tt.name, got)
		}
	}
}

// The upstream is sent what a client over HTTP/1.1 would make it be sent.
func TestRequestOfStreamAsSent(t *testing.T) {
	t.Parallel()
	up := ok(t, "hi")
	r := start(t, useHTTP2)
	defer r.stop()
	r.route("1", "/*", up.addr)
	s := r.dialStreams(t)
	if got := s.ask(":method", "GET", ":scheme", "http", ":path", "/a%2Fb/../c//d?x=1%20y&z", ":authority", "H.com:8080", "host", "H.com:8080",
		"cookie", "a=1", "te", "trailers", "accept", "*/*", "cookie", "b=2", "x-dup", "1", "x-dup", "2", "x-space", " v "); got != "200" {
		t.Fatal(got)
	}
	want := "GET /a%2Fb/../c//d?x=1%20y&z HTTP/1.1\r\nHost: H.com:8080\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\n" +
		"cookie: a=1; b=2\r\naccept: */*\r\nx-dup: 1\r\nx-dup: 2\r\nx-space: v\r\n" +
		"X-Forwarded-Proto: http\r\nX-Forwarded-Host: H.com:8080\r\nX-Forwarded-Port: 8080\r\n\r\n"
	if got := up.last(t); got != want {
		t.Errorf("upstream got\n%s\nwant\n%s", got, want)
	}
}

// Parts of an answer reach the client as they come, and those of a long body the
// upstream.
func TestStreamsPassAsTheyCome(t *testing.T) {
	t.Parallel()
	up := serve(t, func(_ *server, c *upstreamConn) { // answers each part of the body
		req, err := http.ReadRequest(c.r)
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 32<<10)
		for {
			n, err := req.Body.Read(buf)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, buf[:n])
			}
			if err != nil {
				_, _ = io.WriteString(c, "0\r\n\r\n")
				return
			}
		}
	})
	r := start(t, useHTTP2)
	defer r.stop()
	r.route("1", "/*", up.addr)
	const parts, size = 5, 30_000
	body, send := io.Pipe()
	req, err := http.NewRequest("POST", "http://h.com/", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = parts * size
	proceed := make(chan struct{}, parts)
	go func() {
		for i := range parts {
			if i > 0 {
				<-proceed
			}
			_, _ = send.Write(bytes.Repeat([]byte{byte(i)}, size))
		}
		send.Close()
	}()
	resp, err := clientH2(t, r.addr, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	part := make([]byte, size)
	for i := range parts {
		if _, err := io.ReadFull(resp.Body, part); err != nil || !bytes.Equal(part, bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("part %d: %v", i, err)
		}
		proceed <- struct{}{}
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}
