package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http/httputil"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

// allocated is how many bytes of heap the process has ever allocated.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// echoing answers each request with the body that it gets, as it comes.
func echoing(t *testing.T, answerHead string, framed bool) *server {
	return serve(t, func(s *server, c *upstreamConn) {
		length, inChunks := int64(0), false
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = c.r.ReadString('\n'); err != nil {
				return
			}
			fmt.Sscanf(strings.ToLower(line), "content-length: %d", &length)
			inChunks = inChunks || strings.HasPrefix(line, "Transfer-Encoding: chunked")
		}
		body := io.LimitReader(c.r, length)
		if inChunks {
			body = httputil.NewChunkedReader(c.r)
		}
		io.WriteString(c, answerHead)
		if !framed {
			io.Copy(c, body)
			return
		}
		w := httputil.NewChunkedWriter(c)
		io.Copy(w, body)
		w.Close()
		io.WriteString(c, "\r\n")
	})
}

// A body of any length passes in little memory, either way, however it is framed.
func TestLargeBodiesInLittleMemory(t *testing.T) {
	const most = 8 << 20
	r := start(t, nil)
	size := int64(100 << 20)
	sized := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
	r.route("sized", "/sized", echoing(t, "HTTP/1.1 200 OK\r\n"+sized, false).addr)
	r.route("chunked", "/chunked", echoing(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true).addr)
	for _, path := range []string{"/sized", "/chunked"} {
		inChunks := path == "/chunked"
		if inChunks {
			size /= 3 // they take longer
		}
		before := allocated()
		c := r.dial()
		go func() {
			if !inChunks {
				c.Write([]byte("POST " + path + " HTTP/1.1\r\nHost: a\r\n" + sized))
				io.CopyN(c, zeros{}, size)
				return
			}
			c.Write([]byte("POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"))
			w := httputil.NewChunkedWriter(c)
			io.CopyN(w, zeros{}, size)
			w.Close()
			io.WriteString(c, "\r\n")
		}()
		for line := ""; line != "\r\n"; {
			line, _ = c.r.ReadString('\n')
		}
		var body io.Reader = c.r
		if inChunks {
			body = httputil.NewChunkedReader(c.r)
		}
		if n, err := io.CopyN(io.Discard, body, size); err != nil {
			t.Fatalf("%s: %d bytes, %v", path, n, err)
		}
		if used := allocated() - before; used > most {
			t.Errorf("%s: %d bytes were allocated for %d", path, used, size)
		}
	}
}

// A client that goes away while it gets its answer frees the upstream.
func TestClientGoneWhileAnswered(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ended := make(chan struct{})
	up := serve(t, func(s *server, c *upstreamConn) {
		defer close(ended)
		s.request(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		io.Copy(io.Discard, c) // and nothing more
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	for line := ""; line != "x\r\n"; {
		line, _ = c.r.ReadString('\n')
	}
	c.Close()
	<-ended
}

const upgradeHead = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// websocket stores a route that lets WebSocket through and answers a client that
// speaks it.
func (r *rig) websocket(upstream, more string) *client {
	r.Helper()
	r.put("routes/ws", fmt.Sprintf(`{"uri":"/ws","enable_websocket":true,"upstream":{"nodes":{%q:1}}%s}`, upstream, more))
	c := r.dial()
	c.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
	if rep := c.reply("GET"); rep.status != 101 {
		r.Fatalf("%s", rep.line)
	}
	return c
}

// A tunnel carries much both ways at once, whatever follows the head at once.
func TestTunnelOfMuch(t *testing.T) {
	const size = 16 << 20
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		io.WriteString(c, upgradeHead+"first")
		io.CopyN(c, c.r, size)
	})
	c := r.websocket(up.addr, "")
	go io.CopyN(c, zeros{}, size)
	got := make([]byte, 5)
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != "first" {
		t.Fatalf("%q %v", got, err)
	}
	if n, err := io.CopyN(io.Discard, c.r, size); err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// What the side that ends first has sent arrives, and then the tunnel ends.
func TestTunnelEnds(t *testing.T) {
	r := start(t, nil)
	got := make(chan string, 1)
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		io.WriteString(c, upgradeHead)
		b, _ := io.ReadAll(c.r)
		got <- string(b)
	})
	c := r.websocket(up.addr, "")
	c.send("the last words")
	c.Close()
	if b := <-got; b != "the last words" {
		t.Errorf("the upstream got %q", b)
	}
	leaving := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		io.WriteString(c, upgradeHead+"the last words")
	})
	if b, _ := io.ReadAll(r.websocket(leaving.addr, "").r); string(b) != "the last words" {
		t.Errorf("the client got %q", b)
	}
}

// A tunnel in which nothing is said ends after the read timeout.
func TestTunnelIdle(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		io.WriteString(c, upgradeHead)
		io.Copy(io.Discard, c.r)
	})
	c := r.websocket(up.addr, `,"timeout":{"connect":1,"send":1,"read":2}`)
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
}

// A gateway that stops waits for no tunnel beyond the time that it is given, neither
// for one in which nothing is said nor for one that is never silent.
func TestTunnelAtTheEnd(t *testing.T) {
	for name, silent := range map[string]bool{"silent": true, "busy": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, nil)
			up := serve(t, func(s *server, c *upstreamConn) {
				s.request(c)
				io.WriteString(c, upgradeHead)
				io.Copy(c, c.r)
			})
			c := r.websocket(up.addr, "")
			if !silent {
				go io.Copy(c, c.r) // what comes back goes there again
				c.send("to and fro")
			}
			over, cancel := context.WithCancel(context.Background())
			cancel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r.g.Shutdown(over)
			}()
			select {
			case <-ended:
			case <-time.After(deadline): // half of what a tunnel may be silent
				t.Fatal("the tunnel holds up the end")
			}
		})
	}
}

// Only WebSocket may be upgraded to: the upstream would take requests in a tunnel of
// HTTP/2 that the gateway does not see.
func TestOnlyWebsocketIsUpgraded(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "plain")
	r.put("routes/ws", fmt.Sprintf(`{"uri":"/ws","enable_websocket":true,"upstream":{"nodes":{%q:1}}}`, up.addr))
	for _, protocol := range []string{"h2c", "HTTP/2.0", "TLS/1.0", "websocket, h2c", ""} {
		rep := r.get("/ws", "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+protocol, "HTTP2-Settings: AAMAAABk")
		if sent := identity.ReplaceAllString(up.last(t), ""); rep.body != "plain" || sent != "GET /ws HTTP/1.1\r\nHost: test\r\n\r\n" {
			t.Errorf("%s: %s, sent %q", protocol, rep.line, sent)
		}
	}
}
