package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/proxyproto"
	"millrace/gateway/sni"
	"millrace/gateway/upstream"
)

// maxPeek is how far plugins may look ahead, as nginx's preread_buffer_size.
const maxPeek = 16 << 10

var errPeek = errors.New("more is wanted than may be looked ahead")

// tcp carries the bytes of a TCP connection, beneath or without TLS.
type tcp struct {
	x      *session
	raw    net.Conn // beneath TLS
	client net.Conn // its bytes
	ahead  []byte   // read from the client, not passed on yet
	node   net.Conn
}

func newTCP(x *session, conn net.Conn) *tcp { return &tcp{x: x, raw: conn, client: conn} }

func (c *tcp) close() {
	c.client.Close()
	c.raw.Close()
	if c.node != nil {
		c.node.Close()
	}
}

// open reads the PROXY head and settles TLS, as far as the listener has them.
func (c *tcp) open() error {
	limit := time.Now().Add(c.x.s.conf.OpenTimeout)
	if c.x.s.conf.ProxyProtocol {
		if err := c.readHead(limit); err != nil {
			return err
		}
	}
	if c.x.l.tls {
		return c.handshake(limit)
	}
	return nil
}

func (c *tcp) readHead(limit time.Time) error {
	stop := context.AfterFunc(c.x.life, func() { c.raw.SetDeadline(past) })
	defer stop()
	with, err := proxyproto.Accept(c.raw, time.Until(limit), c.x.s.conf.Trusts)
	if err != nil {
		return err
	}
	c.x.setRemote(addrPort(with.RemoteAddr()))
	if c.x.l.tls {
		c.client = with
		return nil
	}
	_, c.ahead = with.Unread()
	return nil
}

// handshake settles TLS with the certificate for the name that the client asks for.
func (c *tcp) handshake(limit time.Time) error {
	var chosen *sni.Entry
	secured := tls.Server(c.client, &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			e, err := c.x.s.certificates.Load().Choose(hello)
			if err != nil {
				return nil, err
			}
			chosen = e
			return e.Config(), nil
		},
	})
	ctx, cancel := context.WithDeadline(c.x.life, limit)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	c.client = secured
	state := secured.ConnectionState()
	c.x.ctx.Conn.TLS = &state
	if c.x.info.ServerName = state.ServerName; state.ServerName == "" {
		c.x.info.ServerName = c.x.s.conf.TLS.Fallback
	}
	if chosen.AsksClients() {
		return chosen.Verify(&state)
	}
	return nil
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Peek implements plugin.Peeker.
func (c *tcp) Peek(n int) ([]byte, error) {
	if n > maxPeek {
		return nil, errPeek
	}
	if len(c.ahead) >= n {
		return c.ahead[:n], nil
	}
	left := c.x.s.conf.OpenTimeout - time.Since(c.x.began)
	if err := c.raw.SetReadDeadline(time.Now().Add(left)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(c.x.life, func() { c.raw.SetReadDeadline(past) })
	defer stop()
	have := len(c.ahead)
	c.ahead = slices.Grow(c.ahead, n-have)
	read, err := io.ReadAtLeast(c.client, c.ahead[have:cap(c.ahead)], n-have)
	if c.ahead = c.ahead[:have+read]; err != nil {
		return nil, fmt.Errorf("looking ahead: %w", err)
	}
	return c.ahead[:n], c.raw.SetReadDeadline(time.Time{})
}

// call implements carrier.
func (c *tcp) call(ctx context.Context, e *upstream.Endpoint, timeout time.Duration) (netip.AddrPort, error) {
	var head []byte
	if c.x.s.conf.ProxyToNodes {
		head = proxyproto.Append(nil, proxyproto.Header{Source: c.x.remote, Destination: c.x.local})
	}
	conn, err := e.ConnectWith(ctx, timeout, head)
	if err != nil {
		return netip.AddrPort{}, err
	}
	c.node = conn
	return addrPort(conn.RemoteAddr()), nil
}

// relay passes bytes on both ways until both have ended or one has broken.
func (c *tcp) relay() {
	x := c.x
	defer x.watchIdle(idleTCP)()
	stop := context.AfterFunc(x.life, c.interrupt)
	defer stop()
	count := &x.count
	up := &pump{x: x, from: newSide(c.client), to: newSide(c.node), read: &count.fromClient, written: &count.toNode, first: c.ahead}
	down := &pump{x: x, from: up.to, to: up.from, read: &count.fromNode, written: &count.toClient}
	c.ahead = nil
	answersEnd := func() {}
	if p := x.route.protocol; p != nil {
		t := &talk{x: x, Conversation: p.Begin()}
		defer t.end()
		defer context.AfterFunc(x.life, t.Close)()
		up.talk, down.talk, answersEnd = t.request, t.answer, t.Close
	}
	var other sync.WaitGroup
	other.Go(up.run)
	down.run()
	answersEnd()
	other.Wait()
}

// interrupt ends all waiting for bytes; what has been taken by the kernel is sent.
func (c *tcp) interrupt() {
	c.raw.SetDeadline(past)
	c.node.SetDeadline(past)
}

// pump passes bytes on one way.
type pump struct {
	x             *session
	from, to      *side
	read, written *atomic.Int64
	first         []byte // read before
	// talk, unless nil, passes bytes on in the place of send.
	talk func(p *pump, b []byte) error
}

// lingerTime is how long a client whose bytes nobody takes any more may go on to
// send them, so that it can read what was sent to it before.
const lingerTime = 2 * time.Second

// run passes bytes on until they end: then the other side is told that no more
// come, and goes on to answer. What breaks ends both ways.
func (p *pump) run() {
	p.read.Add(int64(len(p.first)))
	err := p.pass(p.first)
	p.first = nil
	for err == nil {
		err = p.step()
	}
	if errors.Is(err, io.EOF) && p.to.closeWrite() == nil {
		return
	}
	if errors.Is(err, errSending) {
		p.linger()
	}
	p.x.abort()
}

// errSending says that the side to which bytes go does not take them.
var errSending = errors.New("sending")

// step passes on what comes next.
func (p *pump) step() error {
	buf, n, err := p.from.next()
	if n > 0 {
		p.read.Add(int64(n))
		if failed := p.pass((*buf)[:n]); failed != nil {
			err = failed
		}
	}
	if buf != nil {
		buffers.Put(buf)
	}
	if err == nil && n == bufferSize && p.talk == nil {
		return p.splice()
	}
	return err
}

func (p *pump) pass(b []byte) error {
	if p.talk != nil {
		return p.talk(p, b)
	}
	return p.send(b)
}

func (p *pump) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p.x.touch()
	n, err := p.to.Write(b)
	p.written.Add(int64(n))
	if err != nil {
		return errSending
	}
	return nil
}

// linger takes the sender's bytes and drops them: closing while some have not been
// read would reset the connection, and what it was sent could be lost.
func (p *pump) linger() {
	p.from.SetReadDeadline(time.Now().Add(lingerTime))
	for {
		buf, n, err := p.from.next()
		if buf != nil {
			buffers.Put(buf)
		}
		if p.read.Add(int64(n)); err != nil || p.x.life.Err() != nil {
			return
		}
	}
}
