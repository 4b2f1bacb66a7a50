// Package hostclient is the HTTP/1.1 client of plugins that call one fixed host
// for each request of the gateway: it keeps connections alive, sends a head made
// once, and answers small bodies whole. It never follows redirects.
//
// A request may change things on the host, so it is sent again only if the first
// sending provably reached nobody: see Client.Do.
package hostclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"millrace/internal/rawio"
)

// Config says which host is called, and how. It is not changed afterwards.
type Config struct {
	Addr string      // host:port
	TLS  *tls.Config // nil for plain HTTP
	// MaxIdle connections are kept for IdleTimeout; 0 closes each connection
	// after its answer. See pool for what happens to those beyond MaxIdle.
	MaxIdle     int
	IdleTimeout time.Duration
	// MaxBody in bytes bounds an answer's body.
	MaxBody int64
}

// Client calls one host. Its methods may be called from several goroutines.
type Client struct {
	cfg  Config
	pool pool
}

// New makes a client; it connects with the first call.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg}
	c.pool.init(cfg.MaxIdle, cfg.IdleTimeout)
	return c
}

// Close closes the idle connections; those in use are closed after their answer.
func (c *Client) Close() { c.pool.close() }

// Do sends a request and reads the answer, all within timeout. The head is the
// request line and the header lines, each ended by CRLF, without Content-Length
// and the empty line.
//
// If a connection from the pool turns out dead and the host's system has not
// acknowledged a byte of the request, it is sent once more on a new connection.
// When ctx ends the call ends, with ctx's error.
func (c *Client) Do(ctx context.Context, head, body []byte, timeout time.Duration) (status int, answer []byte, err error) {
	now := time.Now()
	deadline := now.Add(timeout)
	if cn := c.pool.get(now); cn != nil {
		status, answer, err = c.exchange(ctx, cn, deadline, head, body)
		if err == nil || !cn.untouched || ctx.Err() != nil {
			return status, answer, err
		}
	}
	cn, err := c.dial(ctx, deadline)
	if err != nil {
		return 0, nil, err
	}
	return c.exchange(ctx, cn, deadline, head, body)
}

// exchange sends the request on cn and settles what becomes of cn.
func (c *Client) exchange(ctx context.Context, cn *conn, deadline time.Time, head, body []byte) (int, []byte, error) {
	if err := cn.SetDeadline(deadline); err != nil {
		cn.Close()
		return 0, nil, err
	}
	stop := cn.interruptOn(ctx)
	status, answer, reusable, err := cn.roundTrip(head, body, c.cfg.MaxBody)
	if undisturbed := stop(); err == nil && reusable && undisturbed {
		c.pool.put(cn)
		return status, answer, nil
	}
	if err != nil && cn.used {
		cn.untouched = cn.wire.unacknowledged()
	}
	cn.Close()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return status, answer, err
}

func (c *Client) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	d := net.Dialer{Deadline: deadline}
	tcp, err := d.DialContext(ctx, "tcp", c.cfg.Addr)
	if err != nil {
		return nil, err
	}
	wire := &wire{Conn: rawio.NewConn(tcp)}
	if c.cfg.TLS == nil {
		return newConn(wire, wire), nil
	}
	secure := tls.Client(wire, c.cfg.TLS)
	if err = tcp.SetDeadline(deadline); err == nil {
		err = secure.HandshakeContext(ctx)
	}
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", c.cfg.Addr, err)
	}
	return newConn(wire, secure), nil
}
