package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// parkedConns is how many connections are parked.
func (r *rig) parkedConns() (n int64) {
	r.g.serving.Each(func(l *listener) { n += l.parked() })
	return n
}

// visitor is a client that comes again and again.
type visitor interface {
	// again has one more request answered.
	again()
	// ended waits until the gateway has ended the connection.
	ended()
	socket() *net.TCPConn
	Close() error
}

// again implements visitor.
func (c *client) again() {
	c.Helper()
	c.send(get("/", ""))
	if rep := c.reply("GET"); rep.body != "x" || rep.closed {
		c.Errorf("%s %q, closed %v", rep.line, rep.body, rep.closed)
	}
}

func (c *client) ended() {
	c.Helper()
	if b, err := c.r.ReadByte(); err != io.EOF {
		c.Errorf("%q, %v instead of the end", b, err)
	}
}

func (c *client) socket() *net.TCPConn {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.NetConn().(*net.TCPConn)
	}
	return c.Conn.(*net.TCPConn)
}

// again implements visitor; requests name what the table of compression holds.
func (s *rawStreams) again() {
	s.Helper()
	if status := s.ask(":method", "GET", ":scheme", "http", ":authority", "test", ":path", "/", "x-same", "value"); status != "200" {
		s.Errorf("status %s", status)
	}
}

// ended wants to be told, and that nothing was lost.
func (s *rawStreams) ended() {
	s.Helper()
	told := false
	for {
		f, err := s.framer.ReadFrame()
		if err != nil {
			if !told || !errors.Is(err, io.EOF) {
				s.Errorf("told %v, %v", told, err)
			}
			return
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			told = true
			if g.ErrCode != 0 || g.LastStreamID < s.next-2 {
				s.Errorf("%v", g)
			}
		}
	}
}

func (s *rawStreams) socket() *net.TCPConn {
	if t, ok := s.conn.(*tls.Conn); ok {
		return t.NetConn().(*net.TCPConn)
	}
	return s.conn.(*net.TCPConn)
}

func (s *rawStreams) Close() error { return s.conn.Close() }

// ping has a ping answered.
func (s *rawStreams) ping() {
	s.Helper()
	if err := s.framer.WritePing(false, [8]byte{1}); err != nil {
		s.Fatal(err)
	}
	for {
		f, err := s.framer.ReadFrame()
		if err != nil {
			s.Fatal(err)
		}
		if p, ok := f.(*http2.PingFrame); ok && p.IsAck() {
			return
		}
	}
}

// visitKinds are what visitors speak.
var visitKinds = []string{"plain", "TLS", "PROXY", "h2c", "h2"}

// hall is a gateway with listeners for all kinds of visitors.
type hall struct {
	*rig
	t            *testing.T
	tls, proxied string
}

func newHall(t *testing.T, after time.Duration, change func(*Config)) *hall {
	t.Helper()
	r := start(t, func(c *Config) {
		c.HTTP2 = true
		if change != nil {
			change(c)
		}
	})
	r.g.parkAfter.Store(after.Milliseconds())
	r.route("1", "/", ok(t, "x").addr)
	a := newAuthority(t, "root")
	cert, key := a.pair("secure.test")
	r.put("ssls/1", object(t, map[string]any{"snis": []string{"secure.test"}, "cert": cert, "key": key}))
	h := &hall{rig: r, t: t, tls: serveTLS(t, r.g)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.proxied = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.g.Serve(ctx, Proxied{ln}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hall) open(addr string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(deadline))
	return conn
}

func (h *hall) openTLS(proto string) net.Conn {
	return tls.Client(h.open(h.tls), &tls.Config{ServerName: "secure.test", InsecureSkipVerify: true, NextProtos: []string{proto}})
}

// visit has a visitor come, whose first request has been answered.
func (h *hall) visit(kind string) (v visitor) {
	h.t.Helper()
	speak := func(conn net.Conn) *client { return &client{TB: h.t, Conn: conn, r: bufio.NewReader(conn)} }
	switch kind {
	case "plain":
		v = speak(h.open(h.addr))
	case "TLS":
		v = speak(h.openTLS("http/1.1"))
	case "PROXY":
		c := speak(h.open(h.proxied))
		c.send("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")
		v = c
	case "h2c":
		v = openStreams(h.t, h.open(h.addr))
	case "h2":
		v = openStreams(h.t, h.openTLS("h2"))
	}
	v.again()
	return v
}

func (h *hall) eventuallyParked(n int64) {
	h.t.Helper()
	eventually(h.t, "parking", func() bool { return h.parkedConns() == n })
}

func (h *hall) eventuallyOpen(n int64) {
	h.t.Helper()
	eventually(h.t, "the connections that are open", func() bool { return h.g.open.Load() == n })
}

// ofAllKinds tests with visitors of each kind.
func ofAllKinds(t *testing.T, after time.Duration, change func(*Config), test func(h *hall, kind string)) {
	for _, kind := range visitKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(newHall(t, after, change), kind)
		})
	}
}

// Connections that are parked count as open, and are served as before when their
// clients go on.
func TestParkedConnectionsGoOn(t *testing.T) {
	ofAllKinds(t, 0, nil, func(h *hall, kind string) {
		visitors := make([]visitor, 20)
		for i := range visitors {
			visitors[i] = h.visit(kind)
		}
		for n := int64(1); n < 4; n++ {
			h.eventuallyParked(20)
			if got := h.g.Connections(); got.Active != 20 || got.Waiting != 20 || got.Accepted != 20 || got.Requests != 20*n {
				t.Errorf("%+v", got)
			}
			for _, v := range visitors {
				v.again()
			}
		}
	})
}

// What is no request wakes a connection too, and is answered.
func TestParkedConnectionsArePinged(t *testing.T) {
	t.Parallel()
	h := newHall(t, 0, nil)
	for _, kind := range []string{"h2", "h2c"} {
		s := h.visit(kind).(*rawStreams)
		for range 3 {
			h.eventuallyParked(1)
			s.ping()
		}
		if err := s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
			t.Fatal(err)
		}
		h.eventuallyParked(1)
		if err := s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}); err != nil {
			t.Fatal(err)
		}
		s.again()
		s.Close()
		h.eventuallyOpen(0)
	}
}

func TestParkedConnectionsEnd(t *testing.T) {
	ofAllKinds(t, 0, func(c *Config) { c.KeepaliveTimeout = 2 * time.Second }, func(h *hall, kind string) {
		leaves, breaks, stays := h.visit(kind), h.visit(kind), h.visit(kind)
		leaves.Close()
		breaks.socket().SetLinger(0)
		breaks.socket().Close()
		stays.ended()
		h.eventuallyOpen(0)
	})
}

// A client may have ended its side behind its request.
func TestParkedConnectionsAreHalfClosed(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"plain", "PROXY"} {
		h := newHall(t, 0, nil)
		c := h.visit(kind).(*client)
		h.eventuallyParked(1)
		c.send(get("/", ""))
		c.socket().CloseWrite()
		if rep := c.reply("GET"); rep.body != "x" {
			t.Errorf("%s %q", rep.line, rep.body)
		}
		c.ended()
	}
}

// When the gateway stops, parked connections may begin one more request as others may.
func TestParkedConnectionsDrain(t *testing.T) {
	ofAllKinds(t, 0, nil, func(h *hall, kind string) {
		h.g.lastRequest = deadline
		v := h.visit(kind)
		h.eventuallyParked(1)
		stopped := make(chan struct{})
		go func() { h.stop(); close(stopped) }()
		eventually(h.t, "draining", func() bool {
			draining := h.g.serving.Stopping()
			h.g.serving.Each(func(l *listener) { draining = draining && l.draining.Load() })
			return draining
		})
		if c, ok := v.(*client); ok {
			c.send(get("/", ""))
			if rep := c.reply("GET"); rep.body != "x" || !rep.closed {
				t.Errorf("%s %q, closed %v", rep.line, rep.body, rep.closed)
			}
		}
		v.ended()
		<-stopped
	})
}

// Those who do not begin one do not hold it up, nor do they when it must stop at once.
func TestParkedConnectionsDoNotHoldUp(t *testing.T) {
	ofAllKinds(t, 0, nil, func(h *hall, kind string) {
		if kind == "TLS" || kind == "plain" {
			h.g.lastRequest = time.Hour
		}
		h.visit(kind)
		h.eventuallyParked(1)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = h.g.Shutdown(ctx)
		h.eventuallyOpen(0)
	})
}

// Idle connections make room for new ones, parked or not.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	for _, parked := range []bool{true, false} {
		after := time.Hour
		if parked {
			after = 0
		}
		ofAllKinds(t, after, func(c *Config) { c.MaxConns = 1 }, func(h *hall, kind string) {
			first := h.visit(kind)
			eventually(h.t, "waiting", func() bool { return h.g.Connections().Waiting == 1 })
			if parked {
				h.eventuallyParked(1)
			}
			h.visit(kind).again()
			first.ended()
		})
	}
}

// Requests that come just when their connection is being parked are served, whole or
// in parts, and whatever other clients do meanwhile.
func TestParkingStorm(t *testing.T) {
	h := newHall(t, 0, nil)
	var all sync.WaitGroup
	for _, kind := range visitKinds {
		for range 6 {
			v := h.visit(kind)
			all.Go(func() {
				for range 6 {
					time.Sleep(time.Duration(rand.Int64N(int64(2 * tickEvery / 3))))
					if v = h.stir(v, kind); v == nil {
						return
					}
				}
				v.Close()
			})
		}
	}
	all.Wait()
	h.eventuallyOpen(0)
}

// stir does something with a visitor, and answers who goes on; nil: nobody does.
func (h *hall) stir(v visitor, kind string) visitor {
	switch rand.IntN(8) {
	case 0:
		v.Close()
		return nil
	case 1:
		v.socket().SetLinger(0)
		v.socket().Close()
		return nil
	case 2, 3:
		if c, ok := v.(*client); ok { // two at once, the second in parts
			request := get("/", "")
			c.send(request + request[:10])
			c.reply("GET")
			time.Sleep(time.Duration(rand.Int64N(int64(2 * tickEvery))))
			c.send(request[10:])
			c.reply("GET")
			break
		}
		v.(*rawStreams).ping()
	case 4:
		if s, ok := v.(*rawStreams); ok { // a frame in parts
			var b strings.Builder
			_ = http2.NewFramer(&b, nil).WritePing(true, [8]byte{})
			io.WriteString(s.conn, b.String()[:11])
			time.Sleep(time.Duration(rand.Int64N(int64(2 * tickEvery))))
			io.WriteString(s.conn, b.String()[11:])
		}
	}
	v.again()
	return v
}
