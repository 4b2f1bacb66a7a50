package stream

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n", nil)
	r := start(t, func(c *Config) { c.MaxConnections = 2 })
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	a, b := r.dial(r.tcp), r.dial(r.tcp)
	say(t, a, "x")
	say(t, b, "x")
	closed(t, r.dial(r.tcp))
	a.Close()
	eventually(t, "there is room again", func() bool {
		c := r.dial(r.tcp)
		defer c.Close()
		io.WriteString(c, "x\n")
		c.CloseWrite()
		got, _ := io.ReadAll(c)
		return string(got) == "n x\n"
	})
	if got := say(t, b, "still"); got != "n still" {
		t.Errorf("got %q", got)
	}
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	addr, _ := startUDPNode(t, "n")
	r := start(t, func(c *Config) { c.MaxSessions = 1 })
	r.put("stream_routes/1", `{"upstream":{"timeout":{"connect":1,"send":0.2,"read":0.2},"nodes":{%q:1}}}`, addr)
	if got := ask(t, r.udp, "x", deadline); got != "n x" {
		t.Fatalf("got %q", got)
	}
	eventually(t, "the session of a silent client makes room", func() bool { return ask(t, r.udp, "y", time.Second) == "n y" })
}

// ask sends a datagram from a new socket and answers what comes back in time.
func ask(t testing.TB, addr, text string, patience time.Duration) string {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, text)
	c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, maxDatagram)
	n, _ := c.Read(buf)
	return string(buf[:n])
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{"upstream":{"timeout":{"connect":5,"send":1,"read":1.5},"nodes":{%q:1}}}`, n.addr)
	c := r.dial(r.tcp)
	if got := say(t, c, "hello"); got != "n hello" {
		t.Errorf("got %q", got)
	}
	closed(t, c)
	eventually(t, "the node's connection is closed too", func() bool { return n.connections() == 0 })
}

// A client that says nothing is not waited for, where something has to come first.
func TestOpenTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.OpenTimeout = 50 * time.Millisecond })
	closed(t, r.dial(r.tls))
}

// A thousand connections at once, each with bytes of its own.
func TestThousandConnections(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	const clients = 1000
	conns := make([]*net.TCPConn, clients)
	for i := range conns {
		conns[i] = r.dial(r.tcp)
	}
	var saying sync.WaitGroup
	for part := range 4 {
		saying.Go(func() {
			for i := part; i < clients; i += 4 {
				line := fmt.Sprintf("client %d", i)
				io.WriteString(conns[i], line+"\n")
				got := make([]byte, len("n ")+len(line)+1)
				if _, err := io.ReadFull(conns[i], got); string(got) != "n "+line+"\n" || err != nil {
					t.Errorf("%s got %q, %v", line, got, err)
				}
			}
		})
	}
	saying.Wait()
	active := map[string]int64{}
	r.s.EachListener(func(addr string, n int64) { active[addr] = n })
	if active[r.tcp] != clients {
		t.Errorf("%d connections are active: %v", clients, active)
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "all are gone", func() bool { return r.s.connections.Load() == 0 && n.connections() == 0 })
}

// Listeners close at once, connections may end what they are at.
func TestDrain(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	c := r.dial(r.tcp)
	say(t, c, "hello")
	ended := make(chan error, 1)
	go func() { ended <- r.s.Shutdown(context.Background()) }()
	eventually(t, "the listener is closed", func() bool {
		other, err := net.Dial("tcp", r.tcp)
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	if got := say(t, c, "again"); got != "n again" {
		t.Errorf("got %q", got)
	}
	c.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A connection that is silent does not hold up the end.
func TestDrainQuiet(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n", nil)
	r := start(t, nil)
	r.s.lastQuiet = 50 * time.Millisecond
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	c := r.dial(r.tcp)
	say(t, c, "hello")
	over, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := r.s.Shutdown(over); err != nil {
		t.Error(err)
	}
	closed(t, c)
}

// So does one that has not begun as it should.
func TestDrainOpening(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.s.lastQuiet = 50 * time.Millisecond
	c := r.dial(r.tls) // no handshake
	eventually(t, "it is accepted", func() bool { return r.s.connections.Load() == 1 })
	over, cancel := context.WithTimeout(context.Background(), deadline/2)
	defer cancel()
	if err := r.s.Shutdown(over); err != nil {
		t.Error(err)
	}
	closed(t, c)
}

// Nothing listens at the node's port: the next datagram begins anew.
func TestUDPNodeGone(t *testing.T) {
	t.Parallel()
	addr, kill := startUDPNode(t, "a")
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(addr))
	c, err := net.Dial("udp", r.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(text string) { fmt.Fprint(c, text) }
	send("x")
	c.SetDeadline(time.Now().Add(deadline))
	buf := make([]byte, 100)
	if n, err := c.Read(buf); string(buf[:n]) != "a x" || err != nil {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	kill()
	eventually(t, "the session ends", func() bool { send("y"); return r.s.sessions.Load() == 0 })
	b, _ := startUDPNode(t, "b")
	r.put("stream_routes/1", `{%s}`, nodes(b))
	eventually(t, "the next node answers", func() bool { return ask(t, r.udp, "z", time.Second) == "b z" })
}

// What waits for a node is bounded.
func TestPendingDatagrams(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	l := r.s.newListener(&net.UDPAddr{}, false)
	for _, tt := range []struct{ first, size, want int }{{maxDatagram, 1, 1}, {0, 0, maxPending}, {1000, 5000, 4}} {
		c := &udp{x: l.newSession(netip.AddrPort{}, netip.AddrPort{}, protocolUDP), first: make(chan struct{})}
		c.take(make([]byte, tt.first))
		for range 30 {
			c.take(make([]byte, tt.size))
		}
		if len(c.pending) != tt.want {
			t.Errorf("%+v: %d datagrams wait", tt, len(c.pending))
		}
		c.x.abort()
	}
}

func TestLargeDatagrams(t *testing.T) {
	t.Parallel()
	addr, _ := startUDPNode(t, "n")
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(addr))
	text := string(make([]byte, 60_000))
	if got := ask(t, r.udp, text, deadline); got != "n "+text {
		t.Errorf("got %d bytes", len(got))
	}
	if got := ask(t, r.udp, "", deadline); got != "n " {
		t.Errorf("an empty datagram is answered %q", got)
	}
}

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	ca, n := newAuthority(t), startNode(t, "n", nil)
	for _, trusted := range []bool{true, false} {
		r := start(t, func(c *Config) {
			c.ProxyProtocol, c.ProxyToNodes = true, true
			c.Trusts = func(netip.Addr) bool { return trusted }
		})
		cert, key := ca.pair("a.test.com")
		r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q}`, cert, key)
		r.put("stream_routes/1", `{"remote_addr":"192.0.2.1",%s}`, nodes(n.addr))
		r.put("stream_routes/2", `{%s}`, nodes(n.addr))
		const head = "PROXY TCP4 192.0.2.1 198.51.100.2 7 2\r\n"
		for name, addr := range map[string]string{"plain": r.tcp, "TLS": r.tls} {
			raw := r.dial(addr)
			c := net.Conn(raw)
			if name == "TLS" {
				io.WriteString(c, head)
				c = tls.Client(c, &tls.Config{ServerName: "a.test.com", InsecureSkipVerify: true})
				io.WriteString(c, "first\n")
			} else {
				io.WriteString(c, head+"first\n")
			}
			want := "n PROXY TCP4 " + raw.LocalAddr().(*net.TCPAddr).IP.String()
			if trusted {
				want = "n PROXY TCP4 192.0.2.1 127.0.0.1 7 "
			}
			if got := hear(t, c); len(got) < len(want) || got[:len(want)] != want {
				t.Errorf("%s, trusted %v: the node was told %q", name, trusted, got)
			}
			if got := hear(t, c); got != "n first" {
				t.Errorf("%s: got %q", name, got)
			}
			if got := say(t, c, "second"); got != "n second" {
				t.Errorf("%s: got %q", name, got)
			}
		}
		c := r.dial(r.tcp)
		io.WriteString(c, "hello\nhello\nhello\n")
		closed(t, c) // there is no head
	}
}
