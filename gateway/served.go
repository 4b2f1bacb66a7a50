package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"millrace/gateway/route"
	"millrace/gateway/upstream"
	"millrace/plugin"
	"millrace/resource"
)

// errUnsupported says that a route asks for what this gateway cannot do. Such a
// route is not served: without the condition it would match too much.
var errUnsupported = errors.New("not supported")

// servedRoute is a route made ready: what it matches, its plugins with those of
// its service and plugin config, and its upstream. It never changes.
type servedRoute struct {
	id      string
	matched plugin.Matched
	rule    *route.Rule[*servedRoute] // nil if the route is switched off
	chain   *plugin.Chain             // of held
	held    *heldChain

	upstream  *upstream.Upstream
	timeouts  upstream.Timeouts
	websocket bool
	// refusal answers every request before the plugins run, upstreamRefusal
	// those that would be proxied; 0 if all is well.
	refusal, upstreamRefusal int
}

// heldChain is a chain of plugins with what it was compiled from. The next form
// of a route takes it over if its plugins are the same, so that their connections
// and counters outlive a change of anything else.
type heldChain struct {
	*plugin.Chain
	confs map[string]json.RawMessage
	// refs counts the tables and the requests that use the plugins.
	refs atomic.Int64
}

// acquire holds the route's plugins open; false if they are closed already.
func (s *servedRoute) acquire() bool {
	if s.chain.Empty() {
		return true
	}
	for {
		n := s.held.refs.Load()
		if n == 0 {
			return false
		}
		if s.held.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release undoes acquire; the last one closes the plugins.
func (s *servedRoute) release() {
	if !s.chain.Empty() && s.held.refs.Add(-1) == 0 {
		s.chain.Close()
	}
}

// serviceConf is a service as the store keeps it.
type serviceConf struct {
	Name            string             `json:"name"`
	Hosts           []string           `json:"hosts"`
	Plugins         resource.Plugins   `json:"plugins"`
	Upstream        *resource.Upstream `json:"upstream"`
	UpstreamID      resource.ID        `json:"upstream_id"`
	EnableWebsocket *bool              `json:"enable_websocket"`
}

// pluginConf is a plugin config as the store keeps it.
type pluginConf struct {
	Plugins resource.Plugins `json:"plugins"`
}

// sharedUpstream is an upstream that routes name by its id.
type sharedUpstream struct {
	upstream *upstream.Upstream
	refusal  int // status instead of proxying, 0 if all is well
}

// compileRoute makes a route ready.
func (f *follower) compileRoute(id string, followed *followedRoute) (*servedRoute, error) {
	r := followed.conf
	if err := supported(r); err != nil {
		return nil, err
	}
	s := &servedRoute{id: id, matched: plugin.Matched{RouteID: id, RouteName: r.Name, ServiceID: string(r.ServiceID)}}
	svc := &serviceConf{}
	if r.ServiceID != "" {
		if svc = f.services[string(r.ServiceID)]; svc == nil {
			svc, s.refusal = &serviceConf{}, 404
		}
		s.matched.ServiceName = svc.Name
	}
	plugins, err := f.mergePlugins(s, svc, r)
	if err != nil {
		return nil, err
	}
	if err := f.addUpstream(s, svc, r); err != nil {
		return nil, err
	}
	if ws := cmpOr(r.EnableWebsocket, svc.EnableWebsocket); ws != nil {
		s.websocket = *ws
	}
	if err := f.addRule(s, svc, r, followed.created); err != nil {
		return nil, err
	}
	if s.held, err = f.holdChain(plugins, followed.served); err != nil {
		return nil, err
	}
	s.chain = s.held.Chain
	return s, nil
}

// holdChain answers the chain of some plugins: that of the route as it was, if
// its plugins were the same.
func (f *follower) holdChain(confs map[string]json.RawMessage, old *servedRoute) (*heldChain, error) {
	same := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
	if old != nil && maps.EqualFunc(confs, old.held.confs, same) && old.acquire() {
		return old.held, nil
	}
	chain, err := plugin.Compile(confs, f.g.conf.Env)
	if err != nil {
		return nil, err
	}
	held := &heldChain{Chain: chain, confs: confs}
	held.refs.Store(1)
	return held, nil
}

func cmpOr[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// supported refuses what a request cannot yet be matched by.
func supported(r *resource.Route) error {
	vars := bytes.TrimSpace(r.Vars)
	switch {
	case len(vars) > 0 && string(vars) != "[]" && string(vars) != "null":
		return fmt.Errorf("vars: %w", errUnsupported)
	case r.FilterFunc != "":
		return fmt.Errorf("filter_func: %w", errUnsupported)
	case r.Script != "":
		return fmt.Errorf("script: %w", errUnsupported)
	}
	return nil
}

// mergePlugins merges by precedence: route, then plugin config, then service.
func (f *follower) mergePlugins(s *servedRoute, svc *serviceConf, r *resource.Route) (map[string]json.RawMessage, error) {
	merged := map[string]json.RawMessage{}
	maps.Copy(merged, svc.Plugins)
	if id := string(r.PluginConfigID); id != "" {
		conf := f.pluginConfigs[id]
		if conf == nil {
			s.refusal = 503
		} else {
			maps.Copy(merged, conf.Plugins)
		}
	}
	maps.Copy(merged, r.Plugins)
	return merged, nil
}

// addUpstream finds the upstream: the route's own, else its service's.
func (f *follower) addUpstream(s *servedRoute, svc *serviceConf, r *resource.Route) error {
	inline, id := r.Upstream, string(r.UpstreamID)
	if inline == nil && id == "" {
		inline, id = svc.Upstream, string(svc.UpstreamID)
	}
	shared, err := sharedUpstream{refusal: 503}, error(nil)
	switch {
	case inline != nil:
		shared, err = f.compileUpstream(inline)
	case id != "" && f.upstreams[id] != nil:
		shared = *f.upstreams[id]
	case id != "":
		shared.refusal = 502
	}
	if err != nil {
		return err
	}
	s.upstream, s.upstreamRefusal = shared.upstream, shared.refusal
	s.timeouts = upstream.DefaultTimeouts
	if s.upstream != nil {
		s.timeouts = s.upstream.Timeouts
	}
	s.timeouts = upstream.TimeoutsOf(r.Timeout, s.timeouts)
	return nil
}

func (f *follower) compileUpstream(conf *resource.Upstream) (sharedUpstream, error) {
	u, err := upstream.Compile(conf, f.g.pool)
	switch {
	case errors.Is(err, upstream.ErrBalancer):
		return sharedUpstream{refusal: 500}, nil
	case err != nil:
		return sharedUpstream{}, fmt.Errorf("upstream: %w", err)
	case u.Len() == 0:
		return sharedUpstream{upstream: u, refusal: 503}, nil
	}
	return sharedUpstream{upstream: u}, nil
}

// addRule makes what the route matches. A route with status 0 has no rule.
func (f *follower) addRule(s *servedRoute, svc *serviceConf, r *resource.Route, created int64) (err error) {
	if r.Status != nil && *r.Status == 0 {
		return nil
	}
	spec := route.Spec[*servedRoute]{
		ID: s.id, URIs: r.URIs, Hosts: r.Hosts, Methods: r.Methods, Addrs: r.RemoteAddrs,
		Priority: r.Priority, Created: created, Value: s,
	}
	if r.URI != "" {
		spec.URIs = []string{r.URI}
	}
	if r.Host != "" {
		spec.Hosts = []string{r.Host}
	}
	if r.RemoteAddr != "" {
		spec.Addrs = []string{r.RemoteAddr}
	}
	if len(spec.Hosts) == 0 {
		spec.Hosts = svc.Hosts
	}
	if len(spec.URIs) == 0 {
		return errors.New("no uri")
	}
	s.rule, err = route.Compile(spec)
	return err
}
