package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What nginx refuses is answered with a page, and the connection ends.
func TestRefusedOverTheWire(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.route("1", "/*", up.addr)
	long := strings.Repeat("a", 9<<10)
	tests := []struct {
		name, request string
		status        int
		contains      string
	}{
		{"both lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "<title>400 Bad Request"},
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400, ""},
		{"folding", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, ""},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"climbing", "GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"encoded NUL", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "<title>405 Not Allowed"},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, ""},
		{"long target", "GET /" + long + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "<title>414 Request-URI Too Large"},
		{"long header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + long + "\r\n\r\n", 400, "<title>400 Request Header Or Cookie Too Large</title>"},
		{"version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, ""},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := r.dial()
			c.send(test.request + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			rep := c.reply("GET")
			if rep.status != test.status || !rep.closed || !strings.Contains(rep.body, test.contains) {
				t.Errorf("%s, closed %v, %q", rep.line, rep.closed, rep.body)
			}
			if rest, _ := io.ReadAll(c.r); len(rest) > 0 {
				t.Errorf("more was answered: %q", rest)
			}
		})
	}
	if n := up.calls(); n != 0 {
		t.Errorf("the upstream was called %d times: %s", n, up.last(t))
	}
}

func TestPipelining(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send(strings.Repeat("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 50) + strings.Repeat("GET /no HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 50))
	for i := range 100 {
		if rep := c.reply("GET"); (i < 50) != (rep.body == "x") {
			t.Fatalf("answer %d: %s %q", i, rep.line, rep.body)
		}
	}
}

func TestMaxBody(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBody = 10 })
	up := ok(t, "x")
	r.route("1", "/x", up.addr)
	for _, test := range []struct {
		framing string
		status  int
	}{
		{"Content-Length: 10\r\n\r\n0123456789", 200},
		{"Content-Length: 11\r\n\r\n", 413},
		{"Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n", 413},
		{"Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n", 413}, // whatever follows
	} {
		c := r.dial()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + test.framing)
		if rep := c.reply("POST"); rep.status != test.status {
			t.Errorf("%q: %s", test.framing, rep.line)
		}
	}
}

// A chunked body that is already on its way to the upstream, and one that a plugin
// asks for, are bounded too.
func TestMaxBodyOfLongBodies(t *testing.T) {
	const most = wholeChunked + 1000
	r := start(t, func(c *Config) { c.MaxBody = most })
	up := ok(t, "x")
	r.route("1", "/x", up.addr)
	r.put("routes/2", `{"uri":"/plugin","plugins":{"test-change":{"echo":true}}}`)
	for _, path := range []string{"/x", "/plugin"} {
		c := r.dial()
		c.send("POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range most/1000 + 2 {
			c.send("3e8\r\n" + strings.Repeat("x", 1000) + "\r\n")
		}
		if rep := c.reply("POST"); rep.status != 413 {
			t.Errorf("%s: %s", path, rep.line)
		}
	}
}

func TestLocalHandler(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Multi", "1")
		w.Header().Add("X-Multi", "2")
		w.Header().Set("Server", "APISIX/3.18.0")
		w.WriteHeader(201)
		fmt.Fprintf(w, "%s %s %s %s %s", q.Method, q.URL.Path, q.URL.RawQuery, q.Header.Get("X-A"), body)
	})
	r := start(t, func(c *Config) { c.Local, c.LocalPrefixes = handler, []string{"/apisix/admin"} })
	rep := r.do("PUT", "/apisix/admin/routes/1?x=y", "x-a: v", "Content-Length: 2", "", "{}")
	if rep.line != "HTTP/1.1 201 Created" || rep.body != "PUT /apisix/admin/routes/1 x=y v {}" {
		t.Errorf("%s %q", rep.line, rep.body)
	}
	if rep.header.Get("Content-Type") != "application/json" || len(rep.header["X-Multi"]) != 2 || rep.header.Get("Server") != "APISIX/3.18.0" {
		t.Errorf("head %q", rep.head)
	}
	for body, status := range map[string]int{
		fmt.Sprintf("Content-Length: %d\r\n\r\n", localBody+1): 413,
		"Transfer-Encoding: chunked\r\n\r\nno size\r\n":        400,
	} {
		c := r.dial()
		c.send("PUT /apisix/admin/routes/1 HTTP/1.1\r\nHost: a\r\n" + body)
		if rep := c.reply("PUT"); rep.status != status {
			t.Errorf("%q: %s, want %d", body, rep.line, status)
		}
	}
	if rep := r.get("/apisix/adminx"); rep.status != 404 || rep.body != notFoundBody {
		t.Errorf("beside the prefix: %s", rep.line)
	}
	addr := otherAddress(t)
	if addr == "" {
		t.Skip("this machine has no other address than loopback")
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("another address of this machine cannot be listened on: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.g.Serve(ctx, ln) }()
	r.addr = ln.Addr().String()
	if rep := r.get("/apisix/admin/routes", "X-Real-IP: 127.0.0.1"); rep.status != 404 || rep.body != notFoundBody {
		t.Errorf("from another address: %s", rep.line)
	}
	cancel()
	<-served
}

// otherAddress answers an address of this machine that is not loopback.
func otherAddress(t *testing.T) string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.HeaderTimeout = 50 * time.Millisecond })
	if b, err := io.ReadAll(r.dial().r); err != nil || len(b) > 0 {
		t.Errorf("without a request: %q %v", b, err)
	}
	eventually(t, "408", func() bool { // a test that is slow itself has sent nothing in time
		c := r.dial()
		_, _ = io.WriteString(c.Conn, "GET / HTTP/1.1\r\n")
		rep, err := c.tryReply("GET")
		if err == nil && (rep.status != 408 || !rep.closed || !strings.Contains(rep.body, "<title>408 Request Time-out</title>")) {
			t.Errorf("%s, closed %v, %q", rep.line, rep.closed, rep.body)
		}
		return err == nil
	})
}

// When the gateway stops, what was sent is answered, whether its connection was
// busy, idle or just opened.
func TestDrain(t *testing.T) {
	r := start(t, nil)
	r.g.lastRequest = deadline
	called, release := make(chan struct{}), make(chan struct{})
	slow := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		close(called)
		<-release
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
	})
	quick := ok(t, "quick")
	r.route("1", "/slow", slow.addr)
	r.route("2", "/quick", quick.addr)

	busy, idle, fresh := r.dial(), r.dial(), r.dial()
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-called
	idle.send("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
	if rep := idle.reply("GET"); rep.closed {
		t.Error("closed before the end")
	}
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	eventually(t, "stopping", r.g.serving.Stopping)
	for name, c := range map[string]*client{"idle": idle, "fresh": fresh} {
		c.send("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
		rep, err := c.tryReply("GET")
		if err != nil || rep.body != "quick" {
			t.Errorf("%s: %v", name, err)
		}
	}
	close(release)
	if rep := busy.reply("GET"); rep.body != "slow" || !rep.closed {
		t.Errorf("busy: %s, closed %v", rep.line, rep.closed)
	}
	<-stopped
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("still accepting")
	}
}

func TestShutdownWithinItsTime(t *testing.T) {
	r := start(t, nil)
	called := make(chan struct{})
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		close(called)
		io.Copy(io.Discard, c)
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	<-called
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.g.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("Shutdown: %v", err)
	}
}

// Clients that send on until they are told to close lose nothing.
func TestDrainUnderLoad(t *testing.T) {
	r := start(t, nil)
	r.g.lastRequest = deadline
	up := ok(t, "x")
	r.route("1", "/x", up.addr)
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 8 {
		c := r.dial()
		clients.Go(func() {
			for {
				c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
				rep, err := c.tryReply("GET")
				if err != nil || rep.body != "x" {
					t.Errorf("lost after %d: %v", answered.Load(), err)
					return
				}
				answered.Add(1)
				if rep.closed {
					return
				}
			}
		})
	}
	eventually(t, "load", func() bool { return answered.Load() > 500 })
	r.stop()
	clients.Wait()
}

// scarce is a listener on a machine that is out of file descriptors for a while.
type scarce struct {
	net.Listener
	failures atomic.Int64 // still to come
}

func (l *scarce) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAcceptOutOfDescriptors(t *testing.T) {
	r := start(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &scarce{Listener: ln}
	l.failures.Store(3)
	ended := make(chan error, 1)
	go func() { ended <- r.g.Serve(context.Background(), l) }()
	r.addr = ln.Addr().String()
	if rep := r.get("/"); rep.status != 404 {
		t.Errorf("%s", rep.line)
	}
	r.stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
