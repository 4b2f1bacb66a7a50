package stream

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

func TestTCP(t *testing.T) {
	t.Parallel()
	a := startNode(t, "a", nil)
	r := start(t, nil)
	c := r.dial(r.tcp)
	closed(t, c) // no route yet
	r.put("stream_routes/1", `{%s}`, nodes(a.addr))
	c = r.dial(r.tcp)
	for i := range 3 {
		want := fmt.Sprintf("a line %d", i)
		if got := say(t, c, fmt.Sprintf("line %d", i)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// The client ends its side, and reads what comes after.
	io.WriteString(c, "last\n")
	c.CloseWrite()
	if rest, err := io.ReadAll(c); string(rest) != "a last\n" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	eventually(t, "the node's connection is closed", func() bool { return a.connections() == 0 })
}

// Much more than any buffer holds, both ways at once.
func TestTCPCarriesAllBytes(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	data := make([]byte, 8<<20)
	rand.Read(data)
	var node sync.WaitGroup
	defer node.Wait()
	node.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		node.Go(func() {
			c.Write(data)
			c.(*net.TCPConn).CloseWrite()
		})
		if got, err := io.ReadAll(c); !bytes.Equal(got, data) || err != nil {
			t.Errorf("the node got %d bytes, %v", len(got), err)
		}
	})
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(ln.Addr().String()))
	c := r.dial(r.tcp)
	var client sync.WaitGroup
	client.Go(func() {
		c.Write(data)
		c.CloseWrite()
	})
	if got, err := io.ReadAll(c); !bytes.Equal(got, data) || err != nil {
		t.Errorf("the client got %d bytes, %v", len(got), err)
	}
	client.Wait()
}

func TestUDP(t *testing.T) {
	t.Parallel()
	addr, _ := startUDPNode(t, "a")
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(addr))
	for client := range 3 {
		c, err := net.Dial("udp", r.udp)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(deadline))
		for i := range 3 {
			text := fmt.Sprintf("datagram %d of %d", i, client)
			fmt.Fprint(c, text)
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if got := string(buf[:n]); got != "a "+text || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
	}
	if n := r.s.sessions.Load(); n != 3 {
		t.Errorf("%d sessions of three clients", n)
	}
}
