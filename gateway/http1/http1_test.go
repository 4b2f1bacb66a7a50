package http1

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// parse reads a request head through a Reader, a byte at a time.
func parse(t *testing.T, text string) (*Request, error) {
	t.Helper()
	r := NewReader(iotest.OneByteReader(strings.NewReader(text)), 16)
	head, err := r.Head(false)
	if err != nil {
		return nil, err
	}
	req := &Request{}
	return req, req.Parse(head)
}

func TestRefusedRequests(t *testing.T) {
	tests := map[string]struct {
		text string
		want error
	}{
		"both lengths":       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ErrMalformed},
		"both, other order":  {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", ErrMalformed},
		"two lengths":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ErrMalformed},
		"list of lengths":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", ErrMalformed},
		"signed length":      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", ErrMalformed},
		"negative length":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", ErrMalformed},
		"hex length":         {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", ErrMalformed},
		"empty length":       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", ErrMalformed},
		"huge length":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", ErrMalformed},
		"other coding":       {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ErrCoding},
		"two codings":        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrMalformed},
		"odd coding":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", ErrMalformed},
		"coding in 1.0":      {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", ErrMalformed},
		"folded line":        {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", ErrMalformed},
		"space before colon": {"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", ErrMalformed},
		"no colon":           {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", ErrMalformed},
		"empty name":         {"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", ErrMalformed},
		"bare CR in value":   {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", ErrMalformed},
		"bare LF":            {"GET / HTTP/1.1\nHost: a\n\n", ErrMalformed},
		"bare LF in headers": {"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", ErrMalformed},
		"NUL":                {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", ErrMalformed},
		"no host":            {"GET / HTTP/1.1\r\n\r\n", ErrMalformed},
		"two hosts":          {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ErrMalformed},
		"empty host":         {"GET / HTTP/1.1\r\nHost:\r\n\r\n", ErrMalformed},
		"host with path":     {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ErrMalformed},
		"host with user":     {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ErrMalformed},
		"host with odd port": {"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", ErrMalformed},
		"list of hosts":      {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", ErrMalformed},
		"lower-case method":  {"get / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"odd method":         {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"space in target":    {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"tab in line":        {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"no version":         {"GET /\r\nHost: a\r\n\r\n", ErrMalformed},
		"odd version":        {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", ErrMalformed},
		"version 0.9":        {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", ErrMalformed},
		"absolute, no host":  {"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"absolute with user": {"GET http://u@b/a HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"version 2":          {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", ErrVersion},
		"relative target":    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"asterisk":           {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"fragment":           {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"TRACE":              {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
		"CONNECT":            {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
		"long target":        {"GET /" + strings.Repeat("a", MaxLine) + " HTTP/1.1\r\nHost: a\r\n\r\n", ErrTargetTooLong},
		"endless target":     {"GET /" + strings.Repeat("a", 2*MaxLine), ErrTargetTooLong},
		"long header":        {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", MaxLine) + "\r\n\r\n", ErrHeadTooLarge},
		"endless header":     {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 2*MaxLine), ErrHeadTooLarge},
		"many headers":       {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: 1234567890\r\n", 3000) + "\r\n", ErrHeadTooLarge},
		"unfinished":         {"GET / HTTP/1.1\r\nHost: a\r\n", io.ErrUnexpectedEOF},
		"nothing":            {"", io.EOF},
	}
	for name, test := range tests {
		if _, err := parse(t, test.text); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestAcceptedRequests(t *testing.T) {
	tests := []struct {
		text   string
		target string
		host   string
		length int64
		close  bool
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a", 0, false},
		{"\r\nFOO /x?y HTTP/1.1\r\nhost:  a:80 \r\n\r\n", "/x?y", "a:80", 0, false},
		{"GET http://b/x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "/x", "[::1]:80", 0, false},
		{"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a", 0, false},
		{"GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "/?q", "a", 0, false},
		{"GET / HTTP/1.0\r\n\r\n", "/", "", 0, true},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "", 0, false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "/", "", 0, true},
		{"PUT / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\nContent-Length: 007\r\n\r\n", "/", "a", 7, true},
		{"PUT / HTTP/1.1\r\nHost: a_b.c\r\nTransfer-Encoding: Chunked\r\n\r\n", "/", "a_b.c", -1, false},
	}
	for _, test := range tests {
		r, err := parse(t, test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if string(r.Target) != test.target || string(r.Host) != test.host || r.Length != test.length || r.Close != test.close {
			t.Errorf("%q: target %q host %q length %d close %v", test.text, r.Target, r.Host, r.Length, r.Close)
		}
	}
}

func TestCleanPath(t *testing.T) {
	tests := map[string]string{
		"/": "/", "/a?b/../c": "/a", "/q/f%6Fo/bar": "/q/foo/bar", "/q/foo//bar": "/q/foo/bar",
		"/q/foo/./bar": "/q/foo/bar", "/q/foo%2Fbar": "/q/foo/bar", "/a/b/..": "/a/", "/a/b/../": "/a/", "/a/.": "/a/",
		"/a/%2e%2E/b": "/b", "//": "/", "/a/": "/a/", "/.a/..b": "/.a/..b", "/a/b/../../": "/",
		"/%2525": "/%25", "/%C3%A9": "/é", "/a+b": "/a+b", "/%3Fx": "/?x",
		"/..": "", "/a/../..": "", "/%zz": "", "/%2": "", "/%": "", "/a%00": "", "/%2e%2e/": "", "//..": "",
	}
	for target, want := range tests {
		path, _, err := CleanPath([]byte(target), nil, false)
		if want == "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %q %v, want ErrMalformed", target, path, err)
			}
		} else if err != nil || string(path) != want {
			t.Errorf("%s: %q %v, want %q", target, path, err, want)
		}
	}
}

func TestChunkedBodies(t *testing.T) {
	tests := map[string]struct {
		body string
		err  error
	}{
		"3\r\nabc\r\n0\r\n\r\n":                              {"abc", nil},
		"3;ext=\"a\"\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n": {"abcde", nil},
		"00003 \r\nabc\r\n000\r\n\r\n":                       {"abc", nil},
		"A\r\n0123456789\r\n0\r\n\r\n":                       {"0123456789", nil},
		"3\nabc\r\n0\r\n\r\n":                                {"", ErrMalformed},
		"3\r\nabcd\r\n0\r\n\r\n":                             {"abc", ErrMalformed},
		"3\r\nabc0\r\n\r\n":                                  {"abc", ErrMalformed},
		"0x3\r\nabc\r\n0\r\n\r\n":                            {"", ErrMalformed},
		"-3\r\nabc\r\n0\r\n\r\n":                             {"", ErrMalformed},
		"\r\n":                                               {"", ErrMalformed},
		"fffffffffffffffff\r\n":                              {"", ErrMalformed},
		"0\r\nbad trailer\r\n\r\n":                           {"", ErrMalformed},
		"3\r\nab":                                            {"ab", ErrBodyIncomplete},
		"3\r\nabc\r\n":                                       {"abc", ErrBodyIncomplete},
	}
	for text, test := range tests {
		for _, size := range []int{1, 100_000} {
			r := NewReader(strings.NewReader(text+"next"), 8)
			if test.err == ErrBodyIncomplete {
				r = NewReader(strings.NewReader(text), 8)
			}
			r.SetBody(LengthChunked)
			var got []byte
			p := make([]byte, size)
			err := error(nil)
			for err == nil {
				var n int
				n, err = r.Read(p)
				got = append(got, p[:n]...)
			}
			if err == io.EOF {
				err = nil
			}
			if string(got) != test.body || !errors.Is(err, test.err) {
				t.Errorf("%q: %q %v, want %q %v", text, got, err, test.body, test.err)
			}
			if err == nil && r.Buffered()+readable(r) != len("next") {
				t.Errorf("%q: the next message was touched", text)
			}
		}
	}
}

// readable counts what the source has left.
func readable(r *Reader) int {
	b, _ := io.ReadAll(r.src)
	return len(b)
}

func TestResponses(t *testing.T) {
	tests := []struct {
		text   string
		head   bool
		status int
		length int64
		close  bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, 5, false},
		{"HTTP/1.1 200 OK\nContent-Length: 5\n\n", false, 200, 5, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 200, 0, false},
		{"HTTP/1.1 200\r\n\r\n", false, 200, LengthClose, true},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false, 200, 5, false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, 5, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200, LengthChunked, false},
		{"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", false, 304, 0, false},
		{"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", false, 304, 0, true},
		{"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n", false, 204, 0, true},
		{"HTTP/1.1 204 X\r\n\r\n", false, 204, 0, false},
		{"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", false, 204, 0, false},
		{"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", false, 204, 0, true},
		{"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", true, 204, 0, false},
		{"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", false, 204, 0, true},
		{"HTTP/2 200 OK\r\n\r\n", false, 0, 0, false},
		{"HTTP/1.1 20 OK\r\n\r\n", false, 0, 0, false},
		{"HTTP/1.1 2000 OK\r\n\r\n", false, 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false, 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0, 0, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", false, 0, 0, false},
	}
	for _, test := range tests {
		r := &Response{}
		err := r.Parse([]byte(test.text), test.head)
		if test.status == 0 {
			if err == nil {
				t.Errorf("%q was accepted", test.text)
			}
			continue
		}
		if err != nil || r.Status != test.status || r.Length != test.length || r.Close != test.close {
			t.Errorf("%q: %v, status %d length %d close %v", test.text, err, r.Status, r.Length, r.Close)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("POST /a%20/../b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("GET http://x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(strings.NewReader(string(data)), 16)
		for {
			head, err := r.Head(false)
			if err != nil {
				return
			}
			var req Request
			if req.Parse(head) != nil {
				return
			}
			if path, _, err := CleanPath(req.Target, nil, false); err == nil && (path[0] != '/' || strings.Contains(string(path), "/../")) {
				t.Fatalf("%q became %q", req.Target, path)
			}
			r.SetBody(req.Length)
			if _, err := io.Copy(io.Discard, r); err != nil {
				return
			}
			r.Next()
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Response
		if r.Parse(data, false) == nil && (r.Status < 100 || r.Status > 999) {
			t.Fatalf("status %d of %q", r.Status, data)
		}
	})
}

// Cookies that come one by one are joined, and the slices of the caller are left alone.
func TestAssembleCookies(t *testing.T) {
	mine := append(make([]byte, 0, 64), "a=1"...)
	fields := []Field{{Name: []byte("cookie"), Value: mine}}
	want := "a=1"
	for range 2000 {
		fields = append(fields, Field{Name: []byte("cookie"), Value: []byte("b")})
		want += "; b"
	}
	cost := testing.AllocsPerRun(1, func() {
		r := Request{Fields: append([]Field(nil), fields...)}
		if err := r.Assemble([]byte("GET"), []byte("/"), []byte("h.com"), 0); err != nil {
			t.Fatal(err)
		}
		if len(r.Fields) != 2 || string(r.Fields[0].Value) != want {
			t.Fatalf("%d fields, the first %.50q", len(r.Fields), r.Fields[0].Value)
		}
	})
	if cost > 100 {
		t.Errorf("%v allocations: each cookie copies those before it", cost)
	}
	if got := string(mine[:cap(mine)][:5]); got != "a=1\x00\x00" {
		t.Errorf("the caller's slice was written to: %q", got)
	}
}
