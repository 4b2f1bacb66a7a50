// Package server builds the roles that the configuration names (functions,
// operator, gateway, admin, console), starts them in order and stops them in reverse.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/config"
	"millrace/console"
	"millrace/gateway/accesslog"
	"millrace/internal/sealed"
	"millrace/store"
	"millrace/whisk/request"
	"millrace/whisk/tenant"
)

// Options are what a Server needs beside its configuration.
type Options struct {
	Log *slog.Logger
	// Version is shown to clients, such as 0.1.0; Built is when it was built.
	Version string
	Built   time.Time
	// Level is the log's, which Reload changes; nil if it is fixed.
	Level *slog.LevelVar
	// ConfigFile is the path of the configuration, "" if it has none. In its folder
	// debug.yaml is looked for.
	ConfigFile string
}

// Server is a process with its roles. Open makes it, Run runs it.
type Server struct {
	cfg   *config.Config
	opt   Options
	log   *slog.Logger
	state *state
	// resources are those of the gateway: in the data folder, an etcd or a file.
	resources store.Store
	// followed is what serves them: the same, but with what an etcd that is away since
	// the start held last.
	followed store.Store
	parts    []part // in starting order
	bound    []boundTo

	sealer    *sealed.Sealer   // of secrets in the store; nil without the role functions
	tenants   *tenant.Registry // likewise
	functions *functions       // likewise
	meter     *request.Meter   // likewise
	gateway   *gatewayRole
	plugins   *pluginList
	admin     adminAPI // nil without the Admin API
	adminOpen atomic.Bool
	// reloaded is the configuration that Reload took last, nil before.
	reloaded *config.Config
	hurry    chan struct{} // closed by Hurry
	hurried  sync.Once

	mu     sync.Mutex // guards status once Run runs
	status console.Status

	operatorKeyFile string
	accessLog       *accesslog.Log // nil if there is none
	streamLog       *accesslog.Log // likewise, of streams
}

// part is a piece that runs as long as the server.
type part struct {
	name string
	// run runs until ctx ends and returns when its goroutines are gone.
	run func(ctx context.Context) error
	// drain takes nothing new, and returns when what was accepted has ended or
	// ctx has. It is called before run's ctx ends; nil if there is nothing to do.
	drain func(ctx context.Context) error
	// close frees what Open took, in any case; nil if there is nothing.
	close func() error
}

// Open opens the state and every listener of the roles. Nothing is served
// before Run. An error names what could not be opened and what to do.
func Open(ctx context.Context, cfg *config.Config, opt Options) (*Server, error) {
	if err := errors.Join(cfg.CheckExposure(), cfg.CheckPorts()); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, opt: opt, log: opt.Log, plugins: newPluginList(&cfg.Gateway), hurry: make(chan struct{})}
	s.status.Version, s.status.Credentials = opt.Version, credentialsLine(cfg)
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	var err error
	if s.state, err = openState(s.cfg, s.log); err != nil {
		return err
	}
	s.add(part{name: "state", close: s.state.close})
	if err := s.openSource(ctx); err != nil {
		return err
	}
	for _, r := range []struct {
		role config.Role
		open func(context.Context) error
	}{
		{config.RoleFunctions, s.openFunctions},
		{config.RoleOperator, s.openOperator},
		{config.RoleGateway, s.openGateway},
		{config.RoleAdmin, s.openAdmin},
		{config.RoleConsole, s.openConsole},
	} {
		if !s.cfg.Has(r.role) {
			continue
		}
		if err := r.open(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) add(p part) { s.parts = append(s.parts, p) }

// Status says what the server is and where it listens.
func (s *Server) Status() console.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Hurry makes Run, when it stops, wait no longer for accepted requests.
func (s *Server) Hurry() { s.hurried.Do(func() { close(s.hurry) }) }

// Run serves until ctx ends, then drains for at most the configured time and
// closes everything. It answers the first error of a part that ended early.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, len(s.parts))
	stops := make([]func(), len(s.parts))
	for i, p := range s.parts {
		stops[i] = s.startPart(p, ended)
	}
	var failure error
	select {
	case <-ctx.Done():
		s.log.Info("stopping: accepted requests are answered first; a second signal stops at once")
	case failure = <-ended:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	go func() {
		select {
		case <-s.hurry:
			cancel()
		case <-drain.Done():
		}
	}()
	for i, p := range slices.Backward(s.parts) {
		if p.drain != nil {
			if err := p.drain(drain); err != nil && !errors.Is(err, context.Canceled) { // which Hurry has done
				failure = errors.Join(failure, fmt.Errorf("draining %s: %w", p.name, err))
			}
		}
		stops[i]()
	}
	return errors.Join(failure, s.close())
}

// startPart starts a part and answers what ends it and waits for that.
func (s *Server) startPart(p part, ended chan<- error) (stop func()) {
	if p.run == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.run(ctx); err != nil && ctx.Err() == nil {
			ended <- fmt.Errorf("%s: %w", p.name, err)
		}
	}()
	return func() { cancel(); <-done }
}

// Close closes what Open took, when Run is not to be called.
func (s *Server) Close() error { return s.close() }

// close closes the parts in reverse, once.
func (s *Server) close() error {
	var errs []error
	for _, p := range slices.Backward(s.parts) {
		if p.close != nil {
			if err := p.close(); err != nil {
				errs = append(errs, fmt.Errorf("closing %s: %w", p.name, err))
			}
		}
	}
	s.parts = nil
	return errors.Join(errs...)
}

// addHTTP adds the part that serves an API on listeners, which it closes.
func (s *Server) addHTTP(role config.Role, what string, h http.Handler, listeners []net.Listener) {
	srv := &http.Server{
		Handler:           unhurried(h, leftover),
		ConnContext:       withOwner,
		ReadHeaderTimeout: 60 * time.Second,
		IdleTimeout:       70 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	for _, l := range listeners {
		s.addAddress(role, what, l)
	}
	s.add(part{
		name:  what,
		run:   func(ctx context.Context) error { return serveHTTP(ctx, srv, listeners) },
		drain: srv.Shutdown,
	})
}

// serveHTTP serves on every listener until ctx ends or the server was shut down.
func serveHTTP(ctx context.Context, srv *http.Server, listeners []net.Listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- srv.Serve(l) }()
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	var failure error
	for range listeners {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && failure == nil {
			failure = err
			srv.Close()
		}
	}
	return failure
}

// addAddress notes where a role listens.
func (s *Server) addAddress(role config.Role, what string, l net.Listener) {
	if l.Addr().(*net.TCPAddr).IP.IsUnspecified() {
		what += " (all addresses)"
	}
	s.status.Addresses = append(s.status.Addresses, console.Address{Role: string(role), What: what, URL: urlOf(l)})
}

// urlOf is the URL of a listener by an address that works from this machine.
func urlOf(l net.Listener) string {
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	if addr.Addr().IsUnspecified() {
		addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addr.Port())
	}
	return "http://" + addr.String()
}

func (s *Server) openConsole(context.Context) error {
	listeners, err := s.listen("the console", "console.listen", s.cfg.Console.Listen...)
	if err != nil {
		return err
	}
	s.addHTTP(config.RoleConsole, "console", console.New(s.log, s.Status), listeners)
	return nil
}

// credentialsLine is the one line about keys that everybody knows, or empty.
func credentialsLine(cfg *config.Config) string {
	admin := cfg.Has(config.RoleAdmin) && cfg.WellKnownAdmin()
	users := cfg.Has(config.RoleFunctions) && len(cfg.WellKnownUsers()) > 0
	what, set := "", ""
	switch {
	case admin && users:
		what, set = "the well-known admin key and guest key", "deployment.admin.admin_key and functions.users"
	case admin:
		what, set = "the well-known admin key", "deployment.admin.admin_key"
	case users:
		what, set = "the well-known guest key", "functions.users"
	default:
		return ""
	}
	reach := "valid on this machine only"
	if cfg.InsecureWellKnownKeys {
		reach = "accepted from other machines too"
	}
	return "In force: " + what + ", known from every tutorial and " + reach + "; set " + set + " for your own"
}
