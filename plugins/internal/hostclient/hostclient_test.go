package hostclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const head = "POST / HTTP/1.1\r\nHost: h\r\n"

// host is a server whose connections are handled by fn, one after the other
// counted in conns.
func host(t *testing.T, fn func(n int, c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fn(n, c.(*net.TCPConn))
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// serve answers up to n requests on c with their bodies.
func serve(c net.Conn, n int) {
	r := bufio.NewReader(c)
	for range n {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		res := http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(string(body)))}
		if res.Write(c) != nil {
			return
		}
	}
}

func client(t *testing.T, addr string) *Client {
	c := New(Config{Addr: addr, MaxIdle: 2, IdleTimeout: time.Minute, MaxBody: 1 << 20})
	t.Cleanup(c.Close)
	return c
}

func mustEcho(t *testing.T, c *Client, body string) {
	t.Helper()
	status, answer, err := c.Do(context.Background(), []byte(head), []byte(body), 10*time.Second)
	if err != nil || status != 200 || string(answer) != body {
		t.Fatalf("got %d %q, %v", status, answer, err)
	}
}

func TestDoReusesConnections(t *testing.T) {
	var conns atomic.Int32
	addr := host(t, func(n int, c *net.TCPConn) { conns.Add(1); serve(c, 100) })
	c := client(t, addr)
	for _, body := range []string{"", "a", strings.Repeat("b", smallBody), strings.Repeat("c", 10*smallBody), "d"} {
		mustEcho(t, c, body)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A host that closes idle connections must not be seen by the caller.
func TestDoSendsAgainWhatReachedNobody(t *testing.T) {
	cases := map[string]func(c *net.TCPConn){
		"closed": func(c *net.TCPConn) { c.Close() },
		"reset":  func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
	}
	for name, end := range cases {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{}, 10)
			addr := host(t, func(n int, c *net.TCPConn) {
				serve(c, 1)
				end(c)
				ended <- struct{}{}
			})
			c := client(t, addr)
			for range 5 {
				mustEcho(t, c, "x")
				<-ended
			}
		})
	}
}

// A host that has taken the request may have acted on it.
func TestDoNeverSendsTwiceWhatArrived(t *testing.T) {
	var requests atomic.Int32
	addr := host(t, func(n int, c *net.TCPConn) {
		r := bufio.NewReader(c)
		for i := range 2 {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			requests.Add(1)
			if i == 0 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	c := client(t, addr)
	mustEcho(t, c, "")
	if _, _, err := c.Do(context.Background(), []byte(head), []byte("x"), 10*time.Second); err == nil {
		t.Error("no error")
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("the host got %d requests, want 2", n)
	}
}

// Nor is a request repeated that failed on a new connection.
func TestDoTriesANewConnectionOnce(t *testing.T) {
	var conns atomic.Int32
	addr := host(t, func(n int, c *net.TCPConn) { conns.Add(1) })
	if _, _, err := client(t, addr).Do(context.Background(), []byte(head), nil, 10*time.Second); err == nil {
		t.Error("no error")
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestDoEndsInTime(t *testing.T) {
	addr := host(t, func(n int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	_, _, err := client(t, addr).Do(context.Background(), []byte(head), nil, time.Millisecond)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v", err)
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := host(t, func(n int, c *net.TCPConn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		cancel()
		_, _ = io.Copy(io.Discard, c)
	})
	if _, _, err := client(t, addr).Do(ctx, []byte(head), nil, time.Minute); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if _, _, err := client(t, addr).Do(ctx, []byte(head), nil, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestPoolClosesWhatIsBeyondItsSize(t *testing.T) {
	addr := host(t, func(n int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	var p pool
	p.init(1, time.Hour)
	defer p.close()
	for range 3 {
		p.put(dialWire(t, addr))
	}
	deadline := time.Now().Add(30 * time.Second)
	for p.len() != 1 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are idle", p.len())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestPoolClosesWhatIsIdleForTooLong(t *testing.T) {
	addr := host(t, func(n int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	var p pool
	p.init(5, time.Millisecond)
	defer p.close()
	p.put(dialWire(t, addr))
	deadline := time.Now().Add(30 * time.Second)
	for p.len() != 0 {
		if time.Now().After(deadline) {
			t.Fatal("still idle")
		}
		time.Sleep(time.Millisecond)
	}
	if cn := p.get(time.Now()); cn != nil {
		t.Error("got a connection")
	}
}

func TestPoolHandsOutNothingExpired(t *testing.T) {
	addr := host(t, func(n int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	var p pool
	p.init(5, time.Hour)
	defer p.close()
	p.put(dialWire(t, addr))
	if cn := p.get(time.Now().Add(time.Hour)); cn != nil {
		t.Error("got a connection")
	}
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

func dialWire(t *testing.T, addr string) *conn {
	t.Helper()
	tcp, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Conn: tcp}
	return newConn(w, w)
}

func TestDoAllocations(t *testing.T) {
	addr := host(t, func(n int, c *net.TCPConn) {
		answer, in := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), make([]byte, 4096)
		for {
			if _, err := c.Read(in); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	c := client(t, addr)
	h, ctx := []byte(head), context.Background()
	allocs := testing.AllocsPerRun(200, func() {
		if _, _, err := c.Do(ctx, h, nil, time.Minute); err != nil {
			t.Error(err)
		}
	})
	if allocs > 1 { // the answer's body
		t.Errorf("%v allocations a call", allocs)
	}
}
