package stream

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/gateway/upstream"
	"millrace/plugin"
	"millrace/store"
	"millrace/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds every wait in these tests.
const deadline = 30 * time.Second

// rig is a running server with a store.
type rig struct {
	testing.TB
	s     *Server
	store store.Store
	// tcp, tls and udp are the addresses of its listeners.
	tcp, tls, udp string
	ctx           context.Context
	stop          func() // ends Serve
	served        chan error
}

// start starts a server with one listener of each kind.
func start(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	pool := upstream.NewPool(upstream.Settings{Log: log})
	r := &rig{TB: t, store: mem.New(), served: make(chan error, 3)}
	conf := Config{
		Log: log, Store: r.store, Env: &plugin.Env{Log: log}, Pool: pool,
		Trusts: netip.Addr.IsLoopback, OpenTimeout: deadline, DrainTimeout: deadline,
	}
	if change != nil {
		change(&conf)
	}
	r.s = New(conf)
	run, cancel := context.WithCancel(context.Background())
	r.ctx, r.stop = context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { pool.Run(run) })
	running.Go(func() { _ = r.s.Run(run) })
	r.tcp, r.tls = r.listen(false), r.listen(true)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	r.udp = fmt.Sprintf("127.0.0.1:%d", conn.LocalAddr().(*net.UDPAddr).Port)
	go func() { r.served <- r.s.ServeUDP(r.ctx, conn) }()
	t.Cleanup(func() {
		over, end := context.WithCancel(context.Background())
		end() // what a test has left open is not waited for
		_ = r.s.Shutdown(over)
		for range cap(r.served) {
			if err := <-r.served; err != nil {
				t.Errorf("serving: %v", err)
			}
		}
		cancel()
		r.stop()
		running.Wait()
		_ = r.store.Close()
	})
	return r
}

func (r *rig) listen(secured bool) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	go func() { r.served <- r.s.ServeTCP(r.ctx, ln, secured) }()
	return ln.Addr().String()
}

// put stores a resource and waits until it is in force.
func (r *rig) put(key, format string, args ...any) {
	r.Helper()
	e, err := r.store.Put(r.Context(), "/apisix/"+key, fmt.Appendf(nil, format, args...), store.PutOptions{})
	if err == nil {
		err = r.s.WaitApplied(r.Context(), e.ModRevision)
	}
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) remove(key string) {
	r.Helper()
	revision, err := r.store.Delete(r.Context(), "/apisix/"+key, store.Any)
	if err == nil {
		err = r.s.WaitApplied(r.Context(), revision)
	}
	if err != nil {
		r.Fatal(err)
	}
}

// dial opens a connection that the test closes.
func (r *rig) dial(addr string) *net.TCPConn {
	r.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		r.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(deadline))
	r.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// dialTLS opens a connection with TLS for a server name.
func (r *rig) dialTLS(name string, certs ...tls.Certificate) (*tls.Conn, error) {
	raw := r.dial(r.tls)
	c := tls.Client(raw, &tls.Config{ServerName: name, InsecureSkipVerify: true, Certificates: certs})
	return c, c.HandshakeContext(r.Context())
}

// say sends a line and answers the line that comes back.
func say(t testing.TB, c net.Conn, line string) string {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatalf("saying %q: %v", line, err)
	}
	return hear(t, c)
}

// hear reads one line, byte by byte so that nothing after it is lost.
func hear(t testing.TB, c net.Conn) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// closed tells whether the server has ended a connection without a byte.
func closed(t testing.TB, c net.Conn) {
	t.Helper()
	b, err := io.ReadAll(c)
	if len(b) > 0 {
		t.Errorf("got %q before the end", b)
	}
	if isTimeout(err) {
		t.Error("the connection is still open")
	}
}

// node is a server that answers each line with its name and the line.
type node struct {
	addr string
	ln   net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
	done sync.WaitGroup
}

// startNode starts a node; with a configuration it speaks TLS.
func startNode(t testing.TB, name string, conf *tls.Config) *node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{addr: ln.Addr().String(), ln: ln, open: map[net.Conn]bool{}}
	if conf != nil {
		n.ln = tls.NewListener(ln, conf)
	}
	n.done.Go(func() { n.serve(name) })
	t.Cleanup(n.kill)
	return n
}

func (n *node) serve(name string) {
	for {
		c, err := n.ln.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		n.open[c] = true
		n.mu.Unlock()
		n.done.Go(func() {
			defer n.forget(c)
			for s := bufio.NewScanner(c); s.Scan(); {
				answer := name + " " + s.Text()
				if t, ok := c.(*tls.Conn); ok && s.Text() == "name" {
					answer = name + " " + t.ConnectionState().ServerName
				}
				if _, err := io.WriteString(c, answer+"\n"); err != nil {
					return
				}
			}
		})
	}
}

func (n *node) forget(c net.Conn) {
	c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}

// connections is how many are open.
func (n *node) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open)
}

// kill ends the node with all its connections.
func (n *node) kill() {
	n.ln.Close()
	n.mu.Lock()
	for c := range n.open {
		c.Close()
	}
	n.mu.Unlock()
	n.done.Wait()
}

// startUDPNode starts a node that answers each datagram with its name and it.
func startUDPNode(t testing.TB, name string) (addr string, kill func()) {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for buf := make([]byte, maxDatagram); ; {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort([]byte(name+" "+string(buf[:n])), from)
		}
	})
	kill = func() { c.Close(); done.Wait() }
	t.Cleanup(kill)
	return c.LocalAddr().String(), kill
}

// nodes is an upstream of some addresses.
func nodes(addrs ...string) string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = fmt.Sprintf("%q:1", a)
	}
	return `"upstream":{"nodes":{` + strings.Join(list, ",") + `}}`
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
