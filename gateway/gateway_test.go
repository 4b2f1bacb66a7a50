package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/plugin"
	"millrace/store"
	"millrace/store/mem"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // those that may run side by side wait more than they compute
	goleak.VerifyTestMain(m)
}

// deadline bounds every wait of these tests; none of them should need it.
const deadline = 30 * time.Second

// rig is a gateway with its store, listening on a free port.
type rig struct {
	testing.TB
	g     *Gateway
	store store.Store
	addr  string
	logs  *lockedBuffer
	stop  func()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	logs := &lockedBuffer{}
	log := slog.New(slog.NewTextHandler(logs, nil))
	conf := Config{Log: log, Store: mem.New(), Version: "1.2.3", Env: &plugin.Env{Log: log}, RealIPFrom: []string{}}
	if change != nil {
		change(&conf)
	}
	g, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { g.Run(ctx) })
	done.Go(func() {
		if err := g.Serve(context.Background(), ln); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	r := &rig{TB: t, g: g, store: conf.Store, addr: ln.Addr().String(), logs: logs}
	r.stop = sync.OnceFunc(func() {
		ctx, timeout := context.WithTimeout(context.Background(), deadline)
		defer timeout()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		cancel()
		done.Wait()
		conf.Store.Close()
	})
	t.Cleanup(r.stop)
	if err := g.WaitApplied(ctx, 0); err != nil {
		t.Fatal(err)
	}
	return r
}

// put stores a resource and waits until it is served.
func (r *rig) put(key, value string) {
	r.Helper()
	if !json.Valid([]byte(value)) {
		r.Fatalf("%s: not JSON: %s", key, value)
	}
	e, err := r.store.Put(context.Background(), "/apisix/"+key, []byte(value), store.PutOptions{})
	if err != nil {
		r.Fatal(err)
	}
	r.wait(e.ModRevision)
}

func (r *rig) delete(key string) {
	r.Helper()
	revision, err := r.store.Delete(context.Background(), "/apisix/"+key, store.Any)
	if err != nil {
		r.Fatal(err)
	}
	r.wait(revision)
}

func (r *rig) wait(revision int64) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := r.g.WaitApplied(ctx, revision); err != nil {
		r.Fatalf("waiting for revision %d: %v\n%s", revision, err, r.logs)
	}
}

// route stores a route for uri to the nodes.
func (r *rig) route(id, uri string, nodes ...string) {
	r.Helper()
	r.put("routes/"+id, fmt.Sprintf(`{"id":%q,"uri":%q,"upstream":{"nodes":%s}}`, id, uri, nodesJSON(nodes)))
}

func nodesJSON(nodes []string) string {
	weights := map[string]int{}
	for _, n := range nodes {
		weights[n] = 1
	}
	b, _ := json.Marshal(weights)
	return string(b)
}

// dial opens a connection to the gateway.
func (r *rig) dial() *client {
	r.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(deadline))
	c := &client{TB: r.TB, Conn: conn, r: bufio.NewReader(conn)}
	r.Cleanup(func() { conn.Close() })
	return c
}

// get sends one GET on a connection of its own.
func (r *rig) get(target string, headers ...string) *reply {
	r.Helper()
	return r.do("GET", target, headers...)
}

func (r *rig) do(method, target string, headers ...string) *reply {
	r.Helper()
	c := r.dial()
	defer c.Close()
	c.send(method + " " + target + " HTTP/1.1\r\n" + hostLine(headers) + strings.Join(append(headers, "", ""), "\r\n"))
	return c.reply(method)
}

func hostLine(headers []string) string {
	for _, h := range headers {
		if strings.HasPrefix(strings.ToLower(h), "host:") {
			return ""
		}
	}
	return "Host: test\r\n"
}

// client is a client's connection that speaks bytes.
type client struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

func (c *client) send(s string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.Fatal(err)
	}
}

// reply is an answer as it came, head in bytes, body decoded.
type reply struct {
	line   string
	head   string // header lines as they came
	header http.Header
	status int
	body   string
	closed bool // Connection: close
}

func (c *client) reply(method string) *reply {
	c.Helper()
	rep, err := c.tryReply(method)
	if err != nil {
		c.Fatalf("reading an answer: %v", err)
	}
	return rep
}

func (c *client) tryReply(method string) (*reply, error) {
	var head strings.Builder
	rep := &reply{}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\r\n" {
			break
		}
		if rep.line == "" {
			rep.line = strings.TrimSuffix(line, "\r\n")
			continue
		}
		head.WriteString(line)
	}
	rep.head = head.String()
	raw := rep.line + "\r\n" + rep.head + "\r\n"
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(raw), c.r)), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	rep.status, rep.header, rep.closed = res.StatusCode, res.Header, res.Close
	if rep.status == 101 {
		return rep, nil
	}
	var body io.Reader
	switch {
	case len(res.TransferEncoding) > 0:
		rep.header.Set("Transfer-Encoding", "chunked")
		body = chunkedReader(c.r)
	case res.ContentLength >= 0:
		rep.header.Set("Content-Length", fmt.Sprint(res.ContentLength))
		body = io.LimitReader(c.r, res.ContentLength)
	default:
		body = c.r
	}
	if method == "HEAD" {
		return rep, nil
	}
	b, err := io.ReadAll(body)
	rep.body = string(b)
	return rep, err
}

// chunkedReader decodes a chunked body without reading past its end.
func chunkedReader(r *bufio.Reader) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		for {
			line, err := r.ReadString('\n')
			var n int64
			if err == nil {
				_, err = fmt.Sscanf(line, "%x\r\n", &n)
			}
			if err == nil {
				_, err = io.CopyN(pw, r, n)
			}
			if err == nil {
				_, err = r.Discard(2)
			}
			if err != nil || n == 0 {
				pw.CloseWithError(err)
				return
			}
		}
	}()
	return pr
}

// server is an upstream that answers by a function of the whole request.
type server struct {
	addr string

	mu       sync.Mutex
	requests []string // as received, head and body
	conns    int
}

// upstreamConn is a connection that the upstream has accepted.
type upstreamConn struct {
	net.Conn
	r *bufio.Reader
}

// serve starts an upstream; handle serves each connection.
func serve(t testing.TB, handle func(s *server, c *upstreamConn)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: ln.Addr().String()}
	var done sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	done.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(2 * deadline))
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			done.Go(func() {
				defer conn.Close()
				handle(s, &upstreamConn{conn, bufio.NewReader(conn)})
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		done.Wait()
	})
	return s
}

// answer makes a server that answers every request with the same bytes.
func answer(t testing.TB, response string) *server {
	return serve(t, func(s *server, c *upstreamConn) {
		for {
			if _, _, err := s.request(c); err != nil {
				return
			}
			if _, err := io.WriteString(c, response); err != nil {
				return
			}
		}
	})
}

// ok makes a server that answers 200 with a body.
func ok(t testing.TB, body string) *server {
	return answer(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// request reads a request and notes it.
func (s *server) request(c *upstreamConn) (head, body string, err error) {
	var b strings.Builder
	length, chunkedBody := int64(0), false
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		b.WriteString(line)
		fmt.Sscanf(strings.ToLower(line), "content-length: %d", &length)
		chunkedBody = chunkedBody || strings.HasPrefix(strings.ToLower(line), "transfer-encoding:")
		if line == "\r\n" {
			break
		}
	}
	r := io.LimitReader(c.r, length)
	if chunkedBody {
		r = chunkedReader(c.r)
	}
	raw, err := io.ReadAll(r)
	s.mu.Lock()
	s.requests = append(s.requests, b.String()+string(raw))
	s.mu.Unlock()
	return b.String(), string(raw), err
}

// last answers the newest request.
func (s *server) last(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		t.Fatal("the upstream was not called")
	}
	return s.requests[len(s.requests)-1]
}

func (s *server) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// eventually polls until done answers true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}
