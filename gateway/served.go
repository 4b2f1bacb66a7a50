package gateway

import (
	"cmp"
	"errors"
	"fmt"

	"millrace/gateway/route"
	"millrace/gateway/upstream"
	"millrace/gateway/upstream/discovery"
	"millrace/plugin"
	"millrace/plugin/snippet"
	"millrace/resource"
)

// errScript says that the script of a route cannot run. Such a route is not served,
// not as it was before either: its script may be what keeps requests out.
var errScript = errors.New("script")

// servedRoute is a route made ready: what it matches, its plugins with those of
// its service and plugin config, and its upstream. It never changes.
type servedRoute struct {
	// What every request reads stands together at the top.
	chain *heldChain
	target
	websocket bool
	inline    bool // the upstream of target is the route's own or its service's
	// refusal answers every request before the plugins run, that of target those
	// that would be proxied; 0 if all is well.
	refusal int

	matched plugin.Matched
	rule    *route.Rule[*servedRoute] // nil if the route is switched off
	own     *plugin.Chain             // the route's own plugins; nil if it has none
	// scripted: the chain is a script, and consumers' plugins do not join it.
	scripted bool
	timeout  *resource.Timeout
}

// id is the route's id.
func (s *servedRoute) id() string { return s.matched.RouteID }

// closeUpstream lets go of what only this route's upstream needs.
func (s *servedRoute) closeUpstream() {
	if s.inline && s.upstream != nil {
		s.upstream.Close()
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
	Script          string             `json:"script"`

	sharedPlugins
}

// pluginConf is a plugin config as the store keeps it.
type pluginConf struct {
	Plugins resource.Plugins `json:"plugins"`

	sharedPlugins
}

func (c *serviceConf) plugins() (resource.Plugins, *sharedPlugins) {
	return c.Plugins, &c.sharedPlugins
}

func (c *pluginConf) plugins() (resource.Plugins, *sharedPlugins) {
	return c.Plugins, &c.sharedPlugins
}

// sharedPlugins are the plugins that several routes have from one object.
type sharedPlugins struct {
	chain *plugin.Chain // nil if there are none or err is not nil
	err   error         // why they cannot run
}

// compile makes the plugins ready; old are those of the object as it was.
func (s *sharedPlugins) compile(confs resource.Plugins, env *plugin.Env, old *sharedPlugins) {
	var before *plugin.Chain
	if old != nil {
		before = old.chain
	}
	if len(confs) > 0 {
		s.chain, s.err = plugin.Recompile(confs, env, before)
	}
	old.close()
}

// close lets go of the plugins; routes have held those they use.
func (s *sharedPlugins) close() {
	if s != nil && s.chain != nil {
		s.chain.Close()
	}
}

// sharedUpstream is an upstream that routes name by its id.
type sharedUpstream struct {
	conf     *resource.Upstream // nil unless it is needed to make the upstream anew
	upstream *upstream.Upstream
	refusal  int // status instead of proxying, 0 if all is well
}

// close lets go of what only this upstream needs.
func (s *sharedUpstream) close() {
	if s != nil && s.upstream != nil {
		s.upstream.Close()
	}
}

// compileRoute makes a route ready.
func (f *follower) compileRoute(id string, followed *followedRoute) (*servedRoute, error) {
	r := followed.conf
	s := &servedRoute{matched: plugin.Matched{
		RouteID: id, RouteName: r.Name, ServiceID: string(r.ServiceID),
		URI: onlyPattern(r.URI, r.URIs), Host: onlyPattern(r.Host, r.Hosts),
	}}
	svc := &serviceConf{}
	if r.ServiceID != "" {
		if svc = f.services[string(r.ServiceID)]; svc == nil {
			svc, s.refusal = &serviceConf{}, 404
		}
		s.matched.ServiceName = svc.Name
	}
	if err := f.addUpstream(s, svc, r); err != nil {
		return nil, err
	}
	if err := f.complete(s, svc, followed); err != nil {
		s.closeUpstream()
		return nil, err
	}
	return s, nil
}

// complete adds what a route needs beside its upstream.
func (f *follower) complete(s *servedRoute, svc *serviceConf, followed *followedRoute) error {
	r := followed.conf
	if ws := cmp.Or(r.EnableWebsocket, svc.EnableWebsocket); ws != nil {
		s.websocket = *ws
	}
	if err := f.addRule(s, svc, r, followed.created); err != nil {
		return err
	}
	if err := f.addPlugins(s, svc, r, followed.served); err != nil {
		return err
	}
	if s.chain.ReadsRoute() {
		s.matched.Document = followed.raw
	}
	return nil
}

// onlyPattern is the pattern of a route that has one, "" if it has several.
func onlyPattern(one string, list []string) string {
	if one == "" && len(list) == 1 {
		return list[0]
	}
	return one
}

// addPlugins merges by precedence: route, then plugin config, then service. old is
// the route as it was, nil if it is new.
func (f *follower) addPlugins(s *servedRoute, svc *serviceConf, r *resource.Route, old *servedRoute) (err error) {
	shared := &pluginConf{}
	if id := string(r.PluginConfigID); id != "" {
		if shared = f.pluginConfigs[id]; shared == nil {
			shared, s.refusal = &pluginConf{}, 503
		}
	}
	if script := cmp.Or(r.Script, svc.Script); script != "" {
		return f.addScript(s, script)
	}
	if err := errors.Join(svc.err, shared.err); err != nil {
		return err
	}
	if len(r.Plugins) > 0 {
		var before *plugin.Chain
		if old != nil {
			before = old.own
		}
		if s.own, err = plugin.Recompile(r.Plugins, f.g.conf.Env, before); err != nil {
			return err
		}
	}
	s.chain = hold(plugin.Merge(svc.chain, shared.chain, s.own))
	return nil
}

// addScript gives the route a script, which takes the place of all plugins that
// are merged for it.
func (f *follower) addScript(s *servedRoute, source string) error {
	script, err := snippet.CompileScript(source, s.id(), f.g.conf.Env)
	if err != nil {
		return fmt.Errorf("%w: %w", errScript, err)
	}
	s.scripted, s.chain = true, hold(plugin.Of("script", 0, script))
	return nil
}

// addUpstream finds the upstream: the route's own, else its service's.
func (f *follower) addUpstream(s *servedRoute, svc *serviceConf, r *resource.Route) error {
	inline, id, key := r.Upstream, string(r.UpstreamID), resource.Prefix+"routes/"+s.id()
	if inline == nil && id == "" {
		inline, id, key = svc.Upstream, string(svc.UpstreamID), resource.Prefix+"services/"+string(r.ServiceID)
	}
	shared, err := sharedUpstream{refusal: 503}, error(nil)
	switch {
	case inline != nil:
		shared, err = f.g.compileUpstream(key, inline)
		s.inline = true
	case id != "" && f.upstreams[id] != nil:
		shared = *f.upstreams[id]
	case id != "":
		shared.refusal = 502
	}
	if err != nil {
		return err
	}
	s.timeout, s.target = r.Timeout, shared.targetOf(r.Timeout)
	return nil
}

// compileUpstream makes an upstream ready. key is that of the resource it is
// configured in, "" for a plugin's own.
func (g *Gateway) compileUpstream(key string, conf *resource.Upstream) (sharedUpstream, error) {
	conf, err := g.withClientCert(conf)
	if err != nil {
		g.conf.Log.Error("compiling an upstream", "key", key, "err", err)
		return sharedUpstream{refusal: 502}, nil
	}
	u, err := g.pool.Compile(key, conf)
	switch {
	case errors.Is(err, upstream.ErrBalancer):
		return sharedUpstream{refusal: 500}, nil
	case errors.Is(err, discovery.ErrUnknown):
		return sharedUpstream{refusal: 503}, nil
	case err != nil:
		return sharedUpstream{}, fmt.Errorf("upstream: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" && !u.RPC():
		u.Close()
		return sharedUpstream{}, fmt.Errorf("upstream scheme %q is not served", u.Scheme)
	case u.Empty():
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
		ID: s.id(), URIs: r.URIs, Hosts: r.Hosts, Methods: r.Methods, Addrs: r.RemoteAddrs,
		Priority: r.Priority, Created: created, Value: s,
		Params: f.g.conf.Router == "radixtree_uri_with_parameter",
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
	if err := f.g.addConditions(&spec, r); err != nil {
		return err
	}
	s.rule, err = route.Compile(spec)
	return err
}
