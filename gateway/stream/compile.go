package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"millrace/gateway/upstream"
	"millrace/plugin"
	"millrace/resource"
)

var (
	errNoUpstream   = errors.New("the route has no upstream")
	errNoService    = errors.New("its service is not there")
	errNoClientCert = errors.New("its client certificate is not there")
)

// route is a stream route made ready. It never changes; the configuration and the
// connections that use it hold its plugins open.
type route struct {
	id                     string
	created                int64
	matched                plugin.Matched
	sni                    string // lower-case
	remoteAddr, serverAddr netip.Prefix
	serverPort             int
	chain                  *plugin.Chain
	protocol               *protocol // nil: connections are passed on as they are
	subordinate            bool      // it takes no connections of its own
	target                 *target
	inline                 *target // that of target, unless it has an id of its own

	refs atomic.Int64
}

// acquire holds the route's plugins open; false if they are closed already.
func (r *route) acquire() bool {
	for {
		n := r.refs.Load()
		if n == 0 {
			return false
		}
		if r.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release undoes acquire; the last one closes the plugins.
func (r *route) release() {
	if r.refs.Add(-1) == 0 {
		r.chain.Close()
		r.protocol.close()
	}
}

// target is where connections go.
type target struct {
	conf     *resource.Upstream
	upstream *upstream.Upstream
	idle     time.Duration // 0: as the transport has it
	err      error         // why there is no upstream
}

// Exists implements plugin.UpstreamHandle.
func (t *target) Exists() bool { return true }

// Close implements plugin.UpstreamHandle.
func (t *target) Close() {
	if t != nil && t.upstream != nil {
		t.upstream.Close()
	}
}

// compileTarget makes an upstream ready. key is that of the resource it is
// configured in, "" for a plugin's own. What is wrong is told to its connections.
func (s *Server) compileTarget(key string, conf *resource.Upstream) *target {
	t := &target{conf: conf}
	with := *conf
	if with.Scheme != "tls" && with.Scheme != "udp" {
		with.Scheme = "tcp" // the default is http, and says nothing here
	}
	if tls := conf.TLS; tls != nil && tls.ClientCertID != "" {
		cert, ok := s.clientCerts[string(tls.ClientCertID)]
		if !ok {
			t.err = errNoClientCert
			return t
		}
		own := *tls
		own.ClientCert, own.ClientKey = cert.cert, cert.key
		with.TLS = &own
	}
	if t.upstream, t.err = s.conf.Pool.Compile(key, &with); t.err != nil {
		s.conf.Log.Error("compiling an upstream", "key", key, "err", t.err)
		return t
	}
	if conf.Timeout != nil {
		t.idle = max(t.upstream.Timeouts.Send, t.upstream.Timeouts.Read)
	}
	return t
}

// clientCert is an ssl object of type client.
type clientCert struct{ cert, key string }

// chooser is an upstream that a plugin may choose.
type chooser interface{ choose() *target }

var (
	_ plugin.UpstreamCompiler = (*Server)(nil)
	_ plugin.UpstreamHandle   = (*target)(nil)
)

// choose answers a target that stands in the configuration of a plugin.
func (t *target) choose() *target { return t }

// CompileUpstream implements plugin.UpstreamCompiler.
func (s *Server) CompileUpstream(conf json.RawMessage) (plugin.UpstreamHandle, error) {
	u, err := resource.Parse[resource.Upstream](conf, nil)
	if err != nil {
		return nil, err
	}
	t := s.compileTarget("", u)
	if t.err != nil {
		return nil, fmt.Errorf("compiling a plugin's upstream: %w", t.err)
	}
	return t, nil
}

// SharedUpstream implements plugin.UpstreamCompiler.
func (s *Server) SharedUpstream(id string) plugin.UpstreamHandle { return &namedUpstream{s, id} }

// namedUpstream is looked up connection by connection.
type namedUpstream struct {
	s  *Server
	id string
}

func (u *namedUpstream) choose() *target {
	if t, ok := u.s.upstreams.Load(u.id); ok {
		return t.(*target)
	}
	return missingUpstream(u.id)
}

// Exists implements plugin.UpstreamHandle.
func (u *namedUpstream) Exists() bool {
	_, ok := u.s.upstreams.Load(u.id)
	return ok
}

// Close implements plugin.UpstreamHandle.
func (u *namedUpstream) Close() {}

func missingUpstream(id string) *target {
	return &target{err: fmt.Errorf("upstream %s is not there", id)}
}

// compileRoute makes a route ready. Plugins that it had before are taken over.
func (f *follower) compileRoute(id string, followed *followedRoute) (*route, error) {
	conf := followed.conf
	r := &route{
		id: id, created: followed.created, sni: strings.ToLower(conf.SNI), serverPort: conf.ServerPort,
		matched: plugin.Matched{RouteID: id, RouteName: conf.Name, ServiceID: string(conf.ServiceID)},
	}
	r.refs.Store(1)
	var err error
	if r.remoteAddr, err = parsePrefix(conf.RemoteAddr); err != nil {
		return nil, fmt.Errorf("remote_addr: %w", err)
	}
	if r.serverAddr, err = parsePrefix(conf.ServerAddr); err != nil {
		return nil, fmt.Errorf("server_addr: %w", err)
	}
	service := f.services[string(conf.ServiceID)]
	if service != nil {
		r.matched.ServiceName = service.Name
	}
	if err := f.addPlugins(r, conf, service, followed.served); err != nil {
		return nil, err
	}
	f.addTarget(r, conf, service)
	return r, nil
}

// addPlugins makes the plugins of a route, and what it says of its protocol, ready.
// before is the route in its last form, nil if there is none.
func (f *follower) addPlugins(r *route, conf *resource.StreamRoute, service *resource.Service, before *route) (err error) {
	if p := conf.Protocol; p != nil {
		r.subordinate = p.SuperiorID != ""
		if r.protocol, err = f.compileProtocol(r.id, p, before); err != nil {
			return err
		}
	}
	var chain *plugin.Chain
	if before != nil {
		chain = before.chain
	}
	if r.chain, err = plugin.RecompileStream(f.mergedPlugins(conf, service), f.s.conf.Env, chain); err != nil {
		r.protocol.close()
	}
	return err
}

// mergedPlugins are the route's plugins over those of its service. A service may
// have plugins that are for requests only.
func (f *follower) mergedPlugins(conf *resource.StreamRoute, service *resource.Service) map[string]json.RawMessage {
	if service == nil || len(service.Plugins) == 0 {
		return conf.Plugins
	}
	merged := map[string]json.RawMessage{}
	for name, own := range service.Plugins {
		if _, ok := f.s.conf.Env.Plugins.LookupStream(name); ok {
			merged[name] = own
		}
	}
	maps.Copy(merged, conf.Plugins)
	return merged
}

// addTarget finds the upstream: the route's own, else its service's.
func (f *follower) addTarget(r *route, conf *resource.StreamRoute, service *resource.Service) {
	inline, id, key := conf.Upstream, string(conf.UpstreamID), resource.Prefix+"stream_routes/"+r.id
	if inline == nil && id == "" && conf.ServiceID != "" {
		if service == nil {
			r.target = &target{err: errNoService}
			return
		}
		inline, id, key = service.Upstream, string(service.UpstreamID), resource.Prefix+"services/"+string(conf.ServiceID)
	}
	switch {
	case id != "" && f.upstreams[id] != nil:
		r.target = f.upstreams[id]
	case id != "":
		r.target = missingUpstream(id)
	case inline != nil:
		r.inline = f.s.compileTarget(key, inline)
		r.target = r.inline
	default:
		r.target = &target{err: errNoUpstream}
	}
}

// parsePrefix reads an address or a network; none is the zero value.
func parsePrefix(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}
