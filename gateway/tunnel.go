package gateway

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
)

// tunnel answers 101 and then passes bytes both ways until a side ends or
// nothing has come from either for the upstream's read timeout.
func (x *exchange) tunnel() error {
	up := x.call.conn
	x.close = true
	// A request body still on its way would be read by two at once.
	if whole := x.endUpload(up); !whole || !x.upgrading() || !x.call.res.Upgrade {
		x.hangUp(up)
		x.res.fields.set(statusHeader, "502")
		return x.ctx.Exit(502, nil)
	}
	x.takeHeaders()
	x.filterHeader()
	x.res.status = 101
	out := x.appendStatus(x.conn.out[:0], nil)
	out = append(out, "Connection: upgrade\r\n"...)
	for _, f := range x.call.res.Fields {
		if f.Kind == http1.Upgrade {
			out = appendField(out, f.Name, f.Value)
		}
	}
	out = x.appendOwnFields(out)
	x.head = int64(len(out))
	if x.flush(out, false) {
		x.splice()
	}
	x.dropped = true
	x.noteEnd()
	x.hangUp(up)
	return nil
}

// splice copies both ways. The end of one way ends the other.
func (x *exchange) splice() {
	up, c := x.call.conn, x.conn
	c.reader.SetBody(http1.LengthClose)
	up.Reader.SetBody(http1.LengthClose)
	c.upTime.Store(0) // from here on pipe keeps the time
	var active atomic.Int64
	active.Store(time.Now().UnixNano())
	idle := x.target.timeouts.Read
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipe(up.Conn, up.Conn, c.Conn, c.reader, idle, &active)
		c.Conn.Close()
		up.Close()
	}()
	pipe(c.Conn, c.Conn, up.Conn, up.Reader, idle, &active)
	c.Conn.Close()
	up.Close()
	<-done
}

// pipe copies from src, which reads from conn, to dst until one of them ends or
// neither way has seen a byte for idle.
func pipe(dst io.Writer, dstConn, conn net.Conn, src io.Reader, idle time.Duration, active *atomic.Int64) {
	buf := getBuffer()
	defer putBuffer(buf)
	for {
		conn.SetReadDeadline(time.Unix(0, active.Load()).Add(idle))
		n, err := src.Read(*buf)
		now := time.Now()
		if n > 0 {
			active.Store(now.UnixNano())
			dstConn.SetWriteDeadline(now.Add(idle))
			if _, err := dst.Write((*buf)[:n]); err != nil {
				return
			}
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && now.UnixNano()-active.Load() < int64(idle) {
			continue
		}
		return
	}
}
