package gateway

import (
	"encoding/json"
	"fmt"

	"millrace/gateway/upstream"
	"millrace/plugin"
	"millrace/resource"
)

var _ plugin.UpstreamCompiler = (*Gateway)(nil)

// upstreamHandle is an upstream that a plugin may choose.
type upstreamHandle interface {
	// target answers where a request of a route goes.
	target(s *servedRoute) target
}

// CompileUpstream implements plugin.UpstreamCompiler.
func (g *Gateway) CompileUpstream(conf json.RawMessage) (plugin.UpstreamHandle, error) {
	u, err := resource.Parse[resource.Upstream](conf, nil)
	if err != nil {
		return nil, err
	}
	compiled, err := g.compileUpstream("", u)
	if err != nil {
		return nil, fmt.Errorf("compiling a plugin's upstream: %w", err)
	}
	return &inlineUpstream{compiled}, nil
}

// SharedUpstream implements plugin.UpstreamCompiler.
func (g *Gateway) SharedUpstream(id string) plugin.UpstreamHandle { return &namedUpstream{g, id} }

// inlineUpstream stands in the configuration of a plugin.
type inlineUpstream struct{ sharedUpstream }

func (u *inlineUpstream) target(s *servedRoute) target { return u.targetOf(s.timeout) }

// Exists implements plugin.UpstreamHandle.
func (u *inlineUpstream) Exists() bool { return true }

// Close implements plugin.UpstreamHandle.
func (u *inlineUpstream) Close() { u.close() }

// namedUpstream is looked up request by request.
type namedUpstream struct {
	g  *Gateway
	id string
}

func (u *namedUpstream) target(s *servedRoute) target {
	if shared, ok := u.g.upstreams.Load(u.id); ok {
		return shared.(*sharedUpstream).targetOf(s.timeout)
	}
	return target{refusal: 502}
}

// Exists implements plugin.UpstreamHandle.
func (u *namedUpstream) Exists() bool {
	_, ok := u.g.upstreams.Load(u.id)
	return ok
}

// Close implements plugin.UpstreamHandle.
func (u *namedUpstream) Close() {}

// targetOf adds what a route says, which is its timeout.
func (s *sharedUpstream) targetOf(timeout *resource.Timeout) target {
	t := target{upstream: s.upstream, timeouts: upstream.DefaultTimeouts, refusal: s.refusal}
	if s.upstream != nil {
		t.timeouts = s.upstream.Timeouts
	}
	t.timeouts = upstream.TimeoutsOf(timeout, t.timeouts)
	return t
}
