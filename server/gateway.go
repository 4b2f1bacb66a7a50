package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"millrace/admin"
	"millrace/config"
	"millrace/gateway"
	"millrace/gateway/stream"
	"millrace/internal/fieldcrypt"
	"millrace/plugin"
	"millrace/plugins"
	"millrace/resource"
)

// gatewayRole is the data plane of this process.
type gatewayRole struct {
	*gateway.Gateway
	// local is what answers loopback clients on the data plane's own port; it is
	// set when the Admin API has been opened, before anything is served.
	local http.Handler
	env   *plugin.Env
	// streams passes connections on; nil unless it is configured.
	streams *stream.Server
}

func (g *gatewayRole) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.local.ServeHTTP(w, r) }

func (s *Server) openGateway(context.Context) error {
	cfg := &s.cfg.Gateway
	keyring, err := s.keyring()
	if err != nil {
		return err
	}
	s.warnOfPlugins(cfg)
	env := &plugin.Env{Log: s.log, Plugins: s.plugins.set}
	env.Services = append(env.Services, plugins.NewCounters(), httpsPort(cfg))
	if s.functions != nil {
		env.Services = append(env.Services, s.functions)
	}
	process, err := s.openPlugins(env)
	if err != nil {
		return err
	}
	env.Services = append(env.Services, process)
	upstreams, err := s.upstreamSettings(cfg)
	if err != nil {
		return err
	}
	secrets, err := s.secretSettings()
	if err != nil {
		return err
	}
	always, err := s.openAccessLog()
	if err != nil {
		return err
	}
	issuer, err := s.openACME(keyring)
	if err != nil {
		return err
	}
	role := &gatewayRole{env: env}
	conf := gateway.Config{
		Log: s.log, Store: s.followed, Env: env, Keyring: keyring, Always: always, Version: s.opt.Version,
		TLS:                tlsSettings(&cfg.TLS, issuer),
		ACME:               issuer,
		HTTP2:              anyHTTP2(cfg.Listen) || anyHTTP2(cfg.TLS.Listen),
		Router:             cfg.Router,
		TrustedAddresses:   prefixTexts(cfg.TrustedAddresses),
		RealIPFrom:         append(prefixTexts(cfg.RealIP.From), "unix:"),
		RealIPHeader:       cfg.RealIP.Header,
		RealIPRecursive:    cfg.RealIP.Recursive,
		ShowUpstreamStatus: cfg.ShowUpstreamStatus,
		HideVersion:        !cfg.ServerTokens,
		DropUnderscores:    !cfg.UnderscoresInHeaders,
		DeleteTailSlash:    cfg.DeleteURITailSlash,
		ServletPaths:       cfg.NormalizeURILikeServlet,
		EncodedSlash:       cfg.MatchURIEncodedSlash,
		Upstreams:          upstreams,
		Secrets:            secrets,
		KeepaliveTimeout:   zeroIsNone(cfg.KeepaliveTimeout),
		HeaderTimeout:      cfg.ClientHeaderTimeout,
		BodyTimeout:        cfg.ClientBodyTimeout,
		SendTimeout:        cfg.SendTimeout,
		DrainTimeout:       s.cfg.DrainTimeout,
		MaxBody:            cfg.MaxBodySize,
		VarLimits:          plugin.Limits{PostArgs: cfg.MaxPostArgs, Graphql: cfg.MaxGraphql},
		MaxHeaderLine:      cfg.ClientLimits.HeaderLine,
		MaxHeader:          cfg.ClientLimits.Header,
		KeepaliveRequests:  cfg.ClientLimits.Requests,
		MaxConns:           cfg.ClientLimits.Connections * runtime.GOMAXPROCS(0),
	}
	if cfg.Source.Provider == "etcd" { // anybody may have written there
		conf.Check = s.checkResource
	}
	if s.adminServed() && s.cfg.Admin.TLS.CA == "" { // nobody comes around the client certificates
		conf.Local, conf.LocalPrefixes = role, []string{"/apisix/admin"}
	}
	if role.Gateway, err = gateway.New(conf); err != nil {
		return err
	}
	process.Lend(role.Gateway)
	listeners, err := s.listen("the gateway", "apisix.node_listen", cfg.Listen...)
	if err != nil {
		return err
	}
	secured, err := s.listenTLS()
	if err != nil {
		return err
	}
	sockets, err := s.listenHTTP3("apisix.node_listen", cfg.Listen, listeners)
	if err != nil {
		return err
	}
	more, err := s.listenHTTP3("apisix.ssl.listen", cfg.TLS.Listen, secured)
	if err != nil {
		return err
	}
	sockets = append(sockets, more...)
	role.announceHTTP3(sockets)
	for _, l := range listeners {
		s.addAddress(config.RoleGateway, "gateway", l)
	}
	proxied, proxiedTLS, err := s.listenProxied()
	if err != nil {
		return err
	}
	listeners, secured = append(listeners, proxied...), append(secured, proxiedTLS...)
	s.gateway = role
	s.add(part{name: "gateway configuration", run: role.Run})
	s.addDebugFile(role.Gateway)
	s.add(part{
		name:  "gateway",
		run:   func(ctx context.Context) error { return serveGateway(ctx, role.Gateway, listeners, secured, sockets) },
		drain: role.Shutdown,
	})
	if err := s.openStreams(&conf, process); err != nil {
		return err
	}
	s.addACME(issuer, listeners, secured)
	if err := s.openStatus(); err != nil {
		return err
	}
	return s.openControl(keyring, process)
}

// zeroIsNone turns nginx's 0, which switches something off, into the gateway's -1.
func zeroIsNone[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// redirectPort tells the plugin redirect where HTTPS is.
type redirectPort int

func (p redirectPort) HTTPSPort() int { return int(p) }

func httpsPort(cfg *config.Gateway) redirectPort {
	switch tls := &cfg.TLS; {
	case cfg.RedirectPort != 0:
		return redirectPort(cfg.RedirectPort)
	case tls.Enabled && len(tls.Listen) > 0:
		return redirectPort(tls.Listen[0].Addr.Port())
	}
	return 0
}

// MissingPlugins are the listed plugins that do not exist.
func MissingPlugins(cfg *config.Gateway) (missing []string) {
	for _, name := range cfg.Plugins {
		if _, ok := plugin.Lookup(name); !ok && name != resource.StaplingPlugin {
			missing = append(missing, name)
		}
	}
	for _, name := range cfg.Stream.Plugins {
		if _, ok := plugin.LookupStream(name); !ok && cfg.Stream.Enabled {
			missing = append(missing, name+" (of streams)")
		}
	}
	return missing
}

// warnOfPlugins logs them in one line.
func (s *Server) warnOfPlugins(cfg *config.Gateway) {
	if missing := MissingPlugins(cfg); len(missing) > 0 {
		s.log.Warn("the configuration lists plugins that are not available: " + strings.Join(missing, ", "))
	}
}

// openStatus opens the status API, for probes, if the configuration has it.
func (s *Server) openStatus() error {
	cfg := &s.cfg.Gateway.Status
	if !cfg.Enabled {
		return nil
	}
	listeners, err := s.listen("the status API", "apisix.status", cfg.Listen)
	if err != nil {
		return err
	}
	h := admin.NewStatus(admin.StatusConfig{Log: s.log, Version: s.opt.Version, Ready: s.gateway.loaded})
	s.addHTTP(config.RoleGateway, "status API", h, listeners)
	return nil
}

// loaded tells whether the configuration has been read once.
func (g *gatewayRole) loaded() bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return g.WaitApplied(now, 0) == nil
}

// openControl opens the Control API, which shows what the gateway has in force.
func (s *Server) openControl(keyring *fieldcrypt.Keyring, process *plugins.Process) error {
	cfg := &s.cfg.Gateway.Control
	if !cfg.Enabled {
		return nil
	}
	set := s.plugins.set
	h, err := admin.NewControl(admin.ControlConfig{
		Log: s.log, Store: s.followed, Keyring: keyring, Version: s.opt.Version, Plugins: set, ReloadPlugins: s.reloadPlugins,
		Health: s.gateway, Discovery: s.gateway, ServerInfo: serverInfo(set, process),
	})
	if err != nil {
		return err
	}
	listeners, err := s.listen("the Control API", "apisix.control", cfg.Listen)
	if err != nil {
		return err
	}
	s.addHTTP(config.RoleGateway, "Control API", s.withoutActions(h), listeners)
	return nil
}

// serveGateway serves every listener until ctx ends, from when the stored routes
// are in force: clients that come before wait.
func serveGateway(ctx context.Context, g *gateway.Gateway, plain, secured []net.Listener, sockets []net.PacketConn) error {
	if err := g.WaitApplied(ctx, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(plain)+len(secured)+len(sockets))
	start := func(serve func() error) {
		go func() {
			defer cancel() // one listener gone ends them all
			ended <- serve()
		}()
	}
	for _, l := range plain {
		start(func() error { return g.Serve(ctx, l) })
	}
	for _, l := range secured {
		start(func() error { return g.ServeTLS(ctx, l) })
	}
	for _, socket := range sockets {
		start(func() error { return g.ServeHTTP3(ctx, socket) })
	}
	var errs []error
	for range cap(ended) {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func prefixTexts(prefixes []netip.Prefix) []string {
	var texts []string
	for _, p := range prefixes {
		texts = append(texts, p.String())
	}
	return texts
}
