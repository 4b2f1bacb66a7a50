package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// ErrConnect says that no connection to a node could be opened, so that it has
// seen nothing of the request.
var ErrConnect = errors.New("no connection")

// RoundTrip sends a request over HTTP/2, with TLS or in the clear as the endpoint
// says: it is how nodes of the schemes grpc and grpcs are called. The request's
// URL needs its path and query only, its Host is the :authority. Trailers pass
// both ways as net/http has them; the answer's body must be closed. connect
// bounds the time to open a connection.
func (e *Endpoint) RoundTrip(req *http.Request, connect time.Duration) (*http.Response, error) {
	req = req.WithContext(context.WithValue(req.Context(), connectTimeout{}, connect))
	u := *req.URL
	u.Scheme, u.Host = "http", e.key.Addr
	if e.tls != nil {
		u.Scheme = "https"
	}
	req.URL = &u
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if req.Header["User-Agent"] == nil {
		req.Header["User-Agent"] = []string{""} // else net/http adds its own
	}
	return e.http2().RoundTrip(req)
}

// connectTimeout is the context key of the time to open a connection.
type connectTimeout struct{}

// http2 answers the endpoint's HTTP/2 connections.
func (e *Endpoint) http2() *http.Transport {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used = time.Now()
	if e.h2 == nil {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			connect, _ := ctx.Value(connectTimeout{}).(time.Duration)
			conn, err := e.Connect(ctx, connect)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrConnect, err)
			}
			return conn, nil
		}
		var protocols http.Protocols
		protocols.SetHTTP2(e.tls != nil)
		protocols.SetUnencryptedHTTP2(e.tls == nil)
		e.h2 = &http.Transport{
			Protocols:          &protocols,
			HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter},
			DisableCompression: true,
			IdleConnTimeout:    e.key.Keep.Idle,
			DialContext:        dial,
			DialTLSContext:     dial,
		}
	}
	return e.h2
}

// pingAfter is how long an HTTP/2 connection may be silent before it is asked
// whether it is still there.
const pingAfter = 30 * time.Second

// Connect opens a connection that carries anything but HTTP/1.1, with TLS if the
// endpoint speaks it. A timeout of 0 leaves the bound to ctx.
func (e *Endpoint) Connect(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	return e.ConnectWith(ctx, timeout, nil)
}

// ConnectWith is Connect for a connection that begins with head, ahead of TLS too.
func (e *Endpoint) ConnectWith(ctx context.Context, timeout time.Duration, head []byte) (net.Conn, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", e.key.Addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", e.key.Addr, err)
	}
	if len(head) > 0 {
		if _, err := conn.Write(head); err != nil {
			conn.Close()
			return nil, fmt.Errorf("beginning a connection to %s: %w", e.key.Addr, err)
		}
	}
	if e.tls == nil {
		return conn, nil
	}
	t, err := e.handshake(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", e.key.Addr, err)
	}
	return t, nil
}
