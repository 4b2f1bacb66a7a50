package gateway

import (
	"testing"

	"millrace/plugin"
)

func init() { plugin.Register[waiter]("test-wait", 101, anySchema) }

// waiter holds requests up in the rewrite phase: it tells of each and then waits.
type waiter struct{}

var heldUp, goOn = make(chan struct{}), make(chan struct{})

func (waiter) Rewrite(*plugin.Context) error {
	heldUp <- struct{}{}
	<-goOn
	return nil
}

// A request that finds its consumer when its route is gone already leaves nothing of
// the route behind.
func TestConsumerOfADeletedRoute(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.put("consumers/jack", `{"username":"jack","plugins":{"test-auth":{"key":"k"},"test-var":{"template":"jack's"}}}`)
	r.put("routes/1", `{"uri":"/x","plugins":{"test-wait":{},"test-auth":{},"test-close":{}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\nKey: k\r\n\r\n")
	<-heldUp
	r.delete("routes/1")
	goOn <- struct{}{}
	if rep := c.reply("GET"); rep.status != 200 || rep.header.Get("X-Var") != "jack's" {
		t.Errorf("%s %q", rep.line, rep.head)
	}
	eventually(t, "closing the plugins of the route", func() bool { return instances.Load() == 0 })
}
