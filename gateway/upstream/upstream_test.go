package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compile(t *testing.T, conf string) *Upstream {
	t.Helper()
	u, err := tryCompile(t, conf)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func tryCompile(t *testing.T, conf string) (*Upstream, error) {
	t.Helper()
	c := new(resource.Upstream)
	if err := json.Unmarshal([]byte(conf), c); err != nil {
		t.Fatal(err)
	}
	return NewPool(Settings{}).Compile("", c)
}

func TestCompile(t *testing.T) {
	tests := []struct {
		conf    string
		addrs   string
		retries int
	}{
		{`{"nodes":{}}`, "", 0},
		{`{"nodes":{"a":1,"b:81":1}}`, "a:80 b:81", 1},
		{`{"scheme":"https","nodes":{"a":1}}`, "a:443", 0},
		{`{"nodes":{"[::1]:80":1}}`, "[::1]:80", 0},
		{`{"nodes":[{"host":"a","port":80,"weight":1},{"host":"a","weight":5},{"host":"b","weight":0}],"retries":7}`, "a:80 b:80", 7},
	}
	for _, test := range tests {
		u := compile(t, test.conf)
		var addrs []string
		for _, n := range u.nodes {
			addrs = append(addrs, n.Addr)
		}
		if got := strings.Join(addrs, " "); got != test.addrs || u.Retries() != test.retries {
			t.Errorf("%s: nodes %q, %d retries", test.conf, got, u.Retries())
		}
	}
	if _, err := tryCompile(t, `{"type":"x","nodes":{}}`); !errors.Is(err, ErrBalancer) {
		t.Errorf("unknown type: %v", err)
	}
	for _, conf := range []string{`{"scheme":"ftp","nodes":{}}`, `{"pass_host":"x","nodes":{}}`} {
		if _, err := tryCompile(t, conf); err == nil {
			t.Errorf("%s was accepted", conf)
		}
	}
}

func TestTimeouts(t *testing.T) {
	u := compile(t, `{"nodes":{},"timeout":{"connect":0.5,"send":1,"read":2.25}}`)
	if want := (Timeouts{500 * time.Millisecond, time.Second, 2250 * time.Millisecond}); u.Timeouts != want {
		t.Errorf("%v, want %v", u.Timeouts, want)
	}
	u = compile(t, `{"nodes":{},"timeout":{"connect":1e10,"send":1e300,"read":1e18}}`)
	now := time.Now()
	for _, d := range []time.Duration{u.Timeouts.Connect, u.Timeouts.Send, u.Timeouts.Read} {
		if d < 1000*time.Hour || now.Add(d).Before(now) {
			t.Errorf("a timeout without a practical end has become %v", d)
		}
	}
}

func TestRoundRobin(t *testing.T) {
	tests := []struct {
		weights map[string]int
		picks   int
		want    map[string]int
	}{
		{map[string]int{"a:1": 1, "b:1": 1, "c:1": 1}, 3, map[string]int{"a:1": 1, "b:1": 1, "c:1": 1}},
		{map[string]int{"a:1": 5, "b:1": 1}, 6, map[string]int{"a:1": 5, "b:1": 1}},
		{map[string]int{"a:1": 4, "b:1": 2, "c:1": 6}, 6, map[string]int{"a:1": 2, "b:1": 1, "c:1": 3}},
		{map[string]int{"a:1": 0, "b:1": 3}, 1, map[string]int{"b:1": 1}},
		{map[string]int{"a:1": 0, "b:1": 0}, 2, map[string]int{"a:1": 1, "b:1": 1}},
	}
	for _, test := range tests {
		nodes, _ := json.Marshal(test.weights)
		// The start is random, so that some runs see each of them.
		for range 20 {
			u := compile(t, `{"nodes":`+string(nodes)+`}`)
			for range test.picks { // to the end of a list begun in its middle
				u.Pick(nil, nil)
			}
			got := map[string]int{}
			const rounds = 10
			for range rounds * test.picks {
				got[u.Pick(nil, nil).Addr]++
			}
			for addr, want := range test.want {
				if n := got[addr] - rounds*want; n < -1 || n > 1 {
					t.Errorf("%v: %v", test.weights, got)
				}
			}
			if got["a:1"] > 0 && test.want["a:1"] == 0 {
				t.Errorf("%v: %v", test.weights, got)
			}
		}
	}
}

func TestPickSkipsTriedAndPriorities(t *testing.T) {
	u := compile(t, `{"nodes":[{"host":"a","weight":1},{"host":"b","weight":1000000},{"host":"c","weight":1,"priority":-1}]}`)
	var tried Tried
	var order []string
	for n := u.Pick(tried, nil); n != nil; n = u.Pick(tried, nil) {
		tried = append(tried, n)
		order = append(order, n.host)
	}
	if len(order) != 3 || order[2] != "c" {
		t.Errorf("order %v", order)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	p := NewPool(Settings{})
	e := p.Endpoint(Key{Addr: ln.Addr().String(), Keep: Keepalive{Size: 2, Idle: time.Hour, Requests: 3}})
	dial := func() *Conn {
		c, err := e.Dial(context.Background(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b, c := dial(), dial(), dial()
	for _, conn := range []*Conn{a, b, c} {
		conn.Release(true)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the oldest of three was kept although the pool holds two: %v", err)
	}
	if e.Take() != c {
		t.Error("the newest is not taken first")
	}
	c.Release(true)
	e.Take()
	c.Release(true)
	if e.Take() != b {
		t.Error("a connection was kept after its last request")
	}
	b.Release(true)
	for range 3 {
		(<-accepted).Close()
	}
	for b.Alive() {
		time.Sleep(time.Millisecond)
	}
	p.sweep(time.Now())
	if e.Take() != nil {
		t.Error("a connection that the server closed was kept")
	}
	if p.sweep(time.Now().Add(2 * forgetAfter)); len(p.endpoints) != 0 {
		t.Error("an unused endpoint was not forgotten")
	}
	d := dial()
	d.Release(true)
	if p.Endpoint(e.key) != e || e.Take() != d {
		t.Error("a forgotten endpoint that is used again was not found")
	}
	d.Release(true)
	e.idle[0].since = time.Now().Add(-2 * time.Hour)
	if e.Take() != nil {
		t.Error("a connection was taken that had been idle for too long")
	}
	p.close()
	if _, err := d.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the pool did not close an idle connection: %v", err)
	}
	dial().Release(true)
	if e.Take() != nil {
		t.Error("a closed pool kept a connection")
	}
	ln.Close()
	<-done
}

// Clients choose the names that TLS upstreams are asked for.
func TestMadeUpServerNames(t *testing.T) {
	p := NewPool(Settings{})
	for i := range 2 * maxNamed {
		if e := p.Endpoint(Key{Addr: "192.0.2.1:443", TLS: true, ServerName: strconv.Itoa(i)}); e.key.ServerName != strconv.Itoa(i) {
			t.Fatalf("the endpoint for %d has the name %s", i, e.key.ServerName)
		}
	}
	p.Endpoint(Key{Addr: "192.0.2.2:443", TLS: true})
	if n := len(p.endpoints); n != maxNamed+1 {
		t.Errorf("%d endpoints are remembered", n)
	}
}

func TestNames(t *testing.T) {
	u := compile(t, `{"nodes":{"localhost:81":1}}`)
	e, err := u.Pick(nil, nil).Endpoint(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	if host, port, _ := net.SplitHostPort(e.Addr()); !net.ParseIP(host).IsLoopback() || port != "81" {
		t.Errorf("localhost is at %s", e.Addr())
	}
	u = compile(t, `{"nodes":{"no-such-name.invalid:81":1}}`)
	if _, err := u.Pick(nil, nil).Endpoint(context.Background(), ""); !errors.Is(err, ErrUnresolved) {
		t.Errorf("unknown name: %v", err)
	}
}
