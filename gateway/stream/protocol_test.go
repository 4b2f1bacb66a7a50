package stream

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/plugin"
)

// counts counts calls of protocols.
type counts struct {
	mu sync.Mutex
	by map[string]int
}

func (c *counts) CountCall(ctx *plugin.Context, protocol, command string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[protocol+" "+command+" "+ctx.Matched.RouteID]++
}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.by)
}

func startCounting(t *testing.T) (*rig, *counts) {
	n := &counts{by: map[string]int{}}
	return start(t, func(c *Config) { c.Env.Services = append(c.Env.Services, n) }), n
}

// dubboMessage is a message with its id for a body.
func dubboMessage(flags byte, id uint64) []byte {
	body := fmt.Sprint(id)
	b := binary.BigEndian.AppendUint64([]byte{0xda, 0xbb, flags, 20}, id)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

// startDubbo starts a node that answers requests three at a time, the last one first.
func startDubbo(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var ids []uint64
		for head := make([]byte, 16); ; {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[12:])))
			if ids = append(ids, binary.BigEndian.Uint64(head[4:])); len(ids) == 3 {
				for _, id := range slices.Backward(ids) {
					_, _ = c.Write(dubboMessage(0x02, id))
				}
				ids = nil
			}
		}
	})
	t.Cleanup(func() { ln.Close(); done.Wait() })
	return ln.Addr().String()
}

func TestDubbo(t *testing.T) {
	t.Parallel()
	node := startDubbo(t)
	r, n := startCounting(t)
	r.put("stream_routes/1", `{"protocol":{"name":"dubbo","metric":{"enable":true}},%s}`, nodes(node))
	c := r.dial(r.tcp)
	for id := range uint64(4) {
		_, _ = c.Write(dubboMessage(0xc2, id))
	}
	for _, id := range []uint64{2, 1, 0} {
		want := dubboMessage(0x02, id)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); string(got) != string(want) || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	eventually(t, "three calls are counted", func() bool { return n.String() == "map[dubbo  1:3]" })
	c.Close()
	eventually(t, "the one without an answer too", func() bool { return n.String() == "map[dubbo  1:4]" })
	other := r.dial(r.tcp)
	_, _ = io.WriteString(other, "GET / HTTP/1.1\r\n\r\n")
	closed(t, other)
}

// A route below another takes no connections; over UDP nothing is understood.
func TestProtocolsNotSpoken(t *testing.T) {
	t.Parallel()
	a := startNode(t, "a", nil)
	udp, _ := startUDPNode(t, "u")
	r, _ := startCounting(t)
	r.put("stream_routes/1", `{"protocol":{"name":"redis","superior_id":"2"},%s}`, nodes("127.0.0.1:1"))
	r.put("stream_routes/2", `{%s}`, nodes(a.addr))
	if got := say(t, r.dial(r.tcp), "x"); got != "a x" {
		t.Errorf("got %q", got)
	}
	r.put("stream_routes/2", `{"protocol":{"name":"redis"},%s}`, nodes(udp))
	if got := ask(t, r.udp, "PING\r\n", 50*time.Millisecond); got != "" {
		t.Errorf("over UDP: %q", got)
	}
}

// Bytes that came with the PROXY head are read too, and connections that are open keep
// the protocol they began with.
func TestProtocolBehindProxyHead(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var node sync.WaitGroup
	node.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			node.Go(func() { defer c.Close(); _, _ = io.WriteString(c, "+OK\r\n+OK\r\n"); _, _ = io.Copy(io.Discard, c) })
		}
	})
	t.Cleanup(func() { ln.Close(); node.Wait() })
	n := &counts{by: map[string]int{}}
	r := start(t, func(c *Config) { c.ProxyProtocol = true; c.Env.Services = append(c.Env.Services, n) })
	r.put("stream_routes/1", `{"protocol":{"name":"redis","metric":{"enable":true}},%s}`, nodes(ln.Addr().String()))
	c := r.dial(r.tcp)
	_, _ = io.WriteString(c, "PROXY TCP4 192.0.2.1 198.51.100.2 7 2\r\n*1\r\n$4\r\nPI")
	if got := hear(t, c) + hear(t, c); got != "+OK\r+OK\r" { // nobody asked
		t.Errorf("got %q", got)
	}
	r.put("stream_routes/1", `{%s}`, nodes(ln.Addr().String()))
	_, _ = io.WriteString(c, "NG\r\n"+strings.Repeat("ECHO a\r\n", 3))
	c.CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	eventually(t, "all calls are over", func() bool { return n.String() == "map[redis echo 1:3 redis ping 1:1]" })
}
