package gateway

import (
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.pipe(up.Conn, c.Conn, c.reader, &active)
		c.Conn.Close()
		up.Close()
	}()
	x.pipe(c.Conn, up.Conn, up.Reader, &active)
	c.Conn.Close()
	up.Close()
	<-done
}

// pipe copies what src reads from conn to dst until one of them ends, neither way has
// seen a byte for the upstream's read timeout, or the client's connection is given up.
func (x *exchange) pipe(dst, conn net.Conn, src io.Reader, active *atomic.Int64) {
	idle := x.target.timeouts.Read
	buf := getBuffer()
	defer putBuffer(buf)
	for {
		conn.SetReadDeadline(time.Unix(0, active.Load()).Add(idle))
		if x.conn.gone() { // whose deadline, past all of them, this one may have replaced
			return
		}
		n, err := src.Read(*buf)
		now := time.Now()
		switch {
		case n > 0:
			active.Store(now.UnixNano())
			dst.SetWriteDeadline(now.Add(idle))
			if _, err := dst.Write((*buf)[:n]); err != nil {
				return
			}
		case !isTimeout(err) || now.UnixNano()-active.Load() >= int64(idle):
			return
		}
	}
}
