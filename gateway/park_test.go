package gateway

import (
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// parkedConns is how many connections are parked.
func (r *rig) parkedConns() (n int) {
	r.g.serving.Each(func(l *listener) { n += l.lot.size() })
	return n
}

// served dials and has one request answered.
func (r *rig) served() *client {
	r.Helper()
	c := r.dial()
	c.again()
	return c
}

func (c *client) again() {
	c.Helper()
	c.send(get("/", ""))
	if rep := c.reply("GET"); rep.body != "x" || rep.closed {
		c.Errorf("%s %q, closed %v", rep.line, rep.body, rep.closed)
	}
}

// Connections that are parked count as open, and are served as before when their
// clients go on.
func TestParkedConnectionsGoOn(t *testing.T) {
	r := start(t, nil)
	r.g.parkAfter.Store(0)
	r.route("1", "/", ok(t, "x").addr)
	clients := make([]*client, 50)
	for i := range clients {
		clients[i] = r.served()
	}
	for n := int64(2); n < 4; n++ {
		eventually(t, "parking", func() bool { return r.parkedConns() == len(clients) })
		want := r.g.Connections()
		if want.Active != 50 || want.Waiting != 50 || want.Accepted != 50 || want.Requests != 50*(n-1) {
			t.Errorf("%+v", want)
		}
		for _, c := range clients {
			c.again()
		}
	}
}

func TestParkedConnectionsEnd(t *testing.T) {
	r := start(t, func(c *Config) { c.KeepaliveTimeout = 2 * time.Second })
	r.g.parkAfter.Store(0)
	r.route("1", "/", ok(t, "x").addr)
	leaves, stays := r.served(), r.served()
	eventually(t, "parking", func() bool { return r.parkedConns() == 2 })
	leaves.Close()
	eventually(t, "the client to be gone", func() bool { return r.g.open.Load() == 1 })
	if _, err := stays.r.ReadByte(); err != io.EOF {
		t.Errorf("after the keep-alive time: %v", err)
	}
	eventually(t, "none to be open", func() bool { return r.g.open.Load() == 0 })
}

// When the gateway stops, parked connections may begin one more request as others may.
func TestParkedConnectionsDrain(t *testing.T) {
	r := start(t, nil)
	r.g.lastRequest = deadline
	r.g.parkAfter.Store(0)
	r.route("1", "/", ok(t, "x").addr)
	c := r.served()
	eventually(t, "parking", func() bool { return r.parkedConns() == 1 })
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	eventually(t, "stopping", r.g.serving.Stopping)
	c.send(get("/", ""))
	if rep := c.reply("GET"); rep.body != "x" || !rep.closed {
		t.Errorf("%s %q, closed %v", rep.line, rep.body, rep.closed)
	}
	<-stopped
}

func TestParkedConnectionsMakeRoom(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxConns = 2 })
	r.g.parkAfter.Store(0)
	r.route("1", "/", ok(t, "x").addr)
	for range 2 {
		r.served()
	}
	eventually(t, "parking", func() bool { return r.parkedConns() == 2 })
	r.served()
}

// Requests that come just when their connection is being parked are served.
func TestParkingAndRequestsAtOnce(t *testing.T) {
	r := start(t, nil)
	r.g.parkAfter.Store(0)
	r.route("1", "/", ok(t, "x").addr)
	var all sync.WaitGroup
	for range 16 {
		c := r.served()
		all.Go(func() {
			for range 20 {
				time.Sleep(time.Duration(rand.Int64N(int64(2 * tickEvery / 3))))
				c.again()
			}
		})
	}
	all.Wait()
}
