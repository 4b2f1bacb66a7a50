package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"millrace/gateway/stream/xrpc"
	"millrace/internal/expr"
	"millrace/plugin"
	"millrace/resource"
)

// errProtocol says that a route wants its connections understood, which is not known of
// its protocol. It is not served: passing them on would leave out what it asks for.
var errProtocol = errors.New("this protocol is not understood")

// protocol is what a route says of what is spoken on its connections, made ready.
type protocol struct {
	*xrpc.Protocol
	metrics plugin.CallMetrics // nil: calls are not counted
	loggers []callLogger
}

// callLogger is a plugin that logs the calls for which an expression holds.
type callLogger struct {
	filter *expr.Expr
	chain  *plugin.Chain
}

// compileProtocol makes a route's protocol ready. Loggers that it had before are taken
// over; one that cannot be made is left out.
func (f *follower) compileProtocol(id string, conf *resource.Protocol, before *route) (*protocol, error) {
	if !xrpc.Has(conf.Name) {
		return nil, fmt.Errorf("%w: %s", errProtocol, conf.Name)
	}
	read, err := xrpc.Compile(conf.Name, conf.Conf, len(conf.Logger) > 0)
	if err != nil {
		return nil, err
	}
	p := &protocol{Protocol: read}
	if m := conf.Metric; m != nil && m.Enable {
		p.metrics, _ = plugin.Service[plugin.CallMetrics](f.s.conf.Env)
	}
	for i := range conf.Logger {
		var old *plugin.Chain
		if n := len(p.loggers); before != nil && before.protocol != nil && n < len(before.protocol.loggers) {
			old = before.protocol.loggers[n].chain
		}
		logger, err := f.compileLogger(&conf.Logger[i], old)
		if err != nil {
			f.s.conf.Log.Error("compiling a logger of calls; they are not logged by it", "route", id, "logger", conf.Logger[i].Name, "err", err)
			continue
		}
		p.loggers = append(p.loggers, logger)
	}
	return p, nil
}

func (f *follower) compileLogger(conf *resource.ProtocolLogger, old *plugin.Chain) (made callLogger, err error) {
	if made.filter, err = expr.Compile(conf.Filter); err != nil {
		return made, fmt.Errorf("failed to validate the 'filter' expression: %w", err)
	}
	made.chain, err = plugin.RecompileStream(map[string]json.RawMessage{conf.Name: conf.Conf}, f.s.conf.Env, old)
	return made, err
}

// close lets go of the loggers.
func (p *protocol) close() {
	if p == nil {
		return
	}
	for _, l := range p.loggers {
		l.chain.Close()
	}
}

// talk passes on what is spoken on a connection: the bytes are the same, and calls are
// delayed, logged and counted as the route says.
type talk struct {
	x *session
	xrpc.Conversation
	answered []*xrpc.Call // in the bytes that are being passed on
}

// request passes on bytes of the client, each call when its delay is over.
func (t *talk) request(p *pump, b []byte) error {
	sent := 0
	for at := 0; at < len(b); {
		n, call, err := t.FromClient(b[at:])
		if err != nil {
			return t.broken("client", err)
		}
		if call != nil && call.Delay > 0 {
			if err := p.send(b[sent:at]); err != nil {
				return err
			}
			if sent = at; !t.wait(call.Delay) {
				return net.ErrClosed
			}
		}
		if call != nil && call.Silent {
			t.finish(call)
		}
		at += n
	}
	return p.send(b[sent:])
}

// wait waits, and answers false if the connection has ended meanwhile.
func (t *talk) wait(d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return true
	case <-t.x.life.Done():
		return false
	}
}

// answer passes on bytes of the node, and then notes which calls they answer.
func (t *talk) answer(p *pump, b []byte) error {
	t.answered = t.answered[:0]
	for at := 0; at < len(b); {
		n, call, err := t.FromNode(b[at:])
		if err != nil {
			return t.broken("node", err)
		}
		if call != nil {
			t.answered = append(t.answered, call)
		}
		at += n
	}
	err := p.send(b)
	for _, call := range t.answered {
		t.finish(call)
	}
	return err
}

// broken says that a side does not speak the protocol, unless it only came too late.
func (t *talk) broken(side string, err error) error {
	if errors.Is(err, xrpc.ErrClosed) {
		return err
	}
	t.x.s.log.Warn("closing a connection", "route", t.x.route.id, "client", t.x.ctx.Conn.RemoteAddr, "side", side, "err", err)
	return err
}

// end notes the calls that have got no answer.
func (t *talk) end() {
	for _, call := range t.Unanswered() {
		t.finish(call)
	}
}

// finish counts and logs a call that is over.
func (t *talk) finish(call *xrpc.Call) {
	defer t.x.rescue()
	p, took := t.x.route.protocol, time.Since(call.Began)
	if p.metrics == nil && len(p.loggers) == 0 {
		return
	}
	c := t.x.contextOf(call, took)
	if p.metrics != nil {
		p.metrics.CountCall(c, p.Name(), call.Command, took)
	}
	for i := range p.loggers {
		if l := &p.loggers[i]; l.filter.Holds(c.Lookup()) {
			l.chain.LogStream(c)
		}
	}
}

// contextOf makes what loggers see of a call.
func (x *session) contextOf(call *xrpc.Call, took time.Duration) *plugin.Context {
	info := x.info
	info.Bytes = x.count.bytes()
	c := &plugin.Context{
		Request: x.ctx.Request, Response: &x.response, Conn: x.ctx.Conn, Stream: &info,
		Matched: x.ctx.Matched, Metadata: *x.s.metadata.Load(), Started: x.began, Upstream: x.ctx.Upstream,
	}
	c.Upstream.ResponseTime = x.sinceConnected()
	c.SetVar("rpc_time", strconv.FormatFloat(took.Seconds(), 'f', 6, 64))
	c.SetVar("redis_cmd_line", call.Line)
	c.SetVar("cmd", call.Command)
	return c
}
