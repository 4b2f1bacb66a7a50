package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"millrace/config"
	"millrace/console"
	"millrace/plugins"
	"millrace/whisk"
	"millrace/whisk/api"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/request"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/builtin"
	"millrace/whisk/runtime/process"
)

// functions is the functions platform of this process.
type functions struct {
	api      *api.API
	hosts    *localHosts
	launcher *process.Launcher
}

func (s *Server) openFunctions(ctx context.Context) error {
	cfg := &s.cfg.Functions
	s.meter = request.NewMeter()
	listeners, err := s.listen("the functions API", "functions.listen", cfg.Listen...)
	if err != nil {
		return err
	}
	entities, err := catalog.Open(ctx, s.log, s.state.store, s.state.blobs)
	if err != nil {
		return err
	}
	s.add(part{name: "catalog", run: entities.Run})
	s.add(part{name: "retention", run: s.expire})

	launcher, err := s.openRuntime()
	if err != nil {
		return err
	}
	limits := systemLimits(&cfg.Limits)
	if err := s.openTenants(ctx, &limits); err != nil {
		return err
	}
	sources, err := s.openFeeds(ctx, entities, urlOf(listeners[0]))
	if err != nil {
		return err
	}
	hosts := newLocalHosts(listeners)
	gate, err := s.openAPIs(ctx, hosts)
	if err != nil {
		return err
	}
	invoker, err := s.openInvoker(entities, urlOf(listeners[0]), &limits, launcher, builtin.New(s.log, s.builtins(sources, gate)))
	if err != nil {
		return err
	}
	manifest, err := whisk.NewManifest(runtimesOf(launcher.Kinds()))
	if err != nil {
		return err
	}
	if err := s.installSystem(ctx, entities, manifest, &limits); err != nil {
		return err
	}
	webActions := s.webActions(entities, invoker, s.tenants.Directory, &limits)
	rest, err := s.newREST(entities, invoker, manifest, &limits, webActions)
	if err != nil {
		return err
	}
	sources.fireBy(rest)
	s.add(part{name: "feeds", run: sources.Run})
	s.functions = &functions{api: rest, hosts: hosts, launcher: launcher}
	s.addHTTP(config.RoleFunctions, "functions API", s.withoutForeignActions(sources.Handler(rest)), listeners)
	s.serveAPIs(gate, webActions)
	s.add(part{name: "streams of logs", drain: func(context.Context) error { rest.EndStreams(); return nil }})
	return nil
}

// openInvoker opens what carries out calls, with those accepted before a restart.
func (s *Server) openInvoker(entities *catalog.Catalog, url string, limits *whisk.SystemLimits, own *process.Launcher, platform *builtin.Launcher) (*invoke.Invoker, error) {
	cfg := &s.cfg.Functions
	invoker, err := invoke.New(invoke.Config{
		Log:            s.log,
		Launchers:      []runtime.Launcher{own, platform},
		Blobs:          s.state.blobs,
		Activations:    s.state.activations,
		MemoryMB:       int(cfg.Memory >> 20),
		StemCells:      stemCells(cfg.StemCells, own.Kinds()),
		IdleTimeout:    cfg.IdleTimeout,
		MaxResultBytes: int(cfg.Limits.MaxResult),
		APIHost:        url,
		Limits:         limits,
		Owner:          s.tenants.Namespace,
		Sealer:         s.sealer,
		Refuse:         s.noWebhook,
		Actions:        entities,
	})
	if err != nil {
		return nil, err
	}
	s.add(part{name: "invoker", run: invoker.Run, drain: invoker.Drain})
	return invoker, nil
}

// newREST makes the REST API over all that was opened.
func (s *Server) newREST(entities *catalog.Catalog, invoker *invoke.Invoker, manifest *whisk.Manifest, limits *whisk.SystemLimits, webActions http.Handler) (*api.API, error) {
	return api.New(api.Config{
		Log:         s.log,
		Catalog:     entities,
		Activations: s.state.activations,
		Invoker:     invoker,
		Manifest:    manifest,
		Queue:       invoker,
		Limits:      *limits,
		Identities:  s.tenants,
		Web:         webActions,
		Meter:       s.meter,
		WellKnown:   len(s.cfg.WellKnownUsers()) > 0 && !s.cfg.InsecureWellKnownKeys,
		Build:       s.opt.Built.UTC().Format(time.RFC3339),
		Buildno:     s.opt.Version,
	})
}

// openRuntime starts the process runtime and notes what it can do.
func (s *Server) openRuntime() (*process.Launcher, error) {
	cfg := &s.cfg.Functions
	var interpreters []string
	for _, path := range cfg.Runtimes {
		interpreters = append(interpreters, path)
	}
	dir := s.state.run
	if dir != "" {
		dir = filepath.Join(dir, "process")
	}
	modules, err := modulesDir(cfg.NodeModules)
	if err != nil {
		return nil, err
	}
	launcher, err := process.New(process.Config{
		Dir: dir, Isolation: cfg.Isolation, Interpreters: interpreters, NodeModules: modules, MaxReply: int(cfg.Limits.MaxResult),
	})
	if err != nil {
		return nil, err
	}
	s.add(part{name: "process runtime", close: launcher.Close})
	for _, l := range launcher.Layers() {
		s.status.Isolation = append(s.status.Isolation, console.Layer{Name: l.Name, Active: l.Active, Reason: l.Reason})
		if !l.Active {
			s.log.Warn("an isolation layer of actions is not active", "layer", l.Name, "reason", l.Reason)
		}
	}
	for _, k := range launcher.Kinds() {
		s.status.Kinds = append(s.status.Kinds, console.Kind{Name: k.Name, Runs: k.Runs})
	}
	if len(launcher.Kinds()) == 0 {
		s.log.Warn("no action can run: neither node nor python3 is in PATH; install one, or name it in functions.runtimes")
	}
	return launcher, nil
}

// modulesDir makes the path of functions.node_modules absolute.
func modulesDir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("functions.node_modules: %s is no folder; name one with npm modules in it, or leave the key out", dir)
	}
	return dir, nil
}

// systemLimits takes over what config.yaml says, in the units of whisk.
func systemLimits(l *config.Limits) whisk.SystemLimits {
	limits := whisk.DefaultSystemLimits()
	limits.Namespace = whisk.NamespaceLimits{
		InvocationsPerMinute:  l.InvocationsPerMinute,
		ConcurrentInvocations: l.ConcurrentInvocations,
		FiresPerMinute:        l.FiresPerMinute,
	}
	limits.TimeoutMS = whisk.Range{Min: int(l.MinActionTimeout.Milliseconds()), Default: int(l.DefaultActionTimeout.Milliseconds()), Max: int(l.MaxActionTimeout.Milliseconds())}
	limits.MemoryMB = whisk.Range{Min: int(l.MinActionMemory >> 20), Default: int(l.DefaultActionMemory >> 20), Max: int(l.MaxActionMemory >> 20)}
	limits.LogsMB = whisk.Range{Min: int(l.MinActionLogs >> 20), Default: int(l.DefaultActionLogs >> 20), Max: int(l.MaxActionLogs >> 20)}
	limits.Concurrency.Max = l.MaxActionConcurrency
	limits.Exec, limits.Parameters, limits.Payload = l.MaxCode, l.MaxParameters, l.MaxPayload
	limits.SequenceLength, limits.BlockingWait = l.SequenceLength, l.MaxBlockingWait
	return limits
}

// stemCells is the configured number for every kind.
func stemCells(n int, kinds []runtime.Kind) map[string]int {
	cells := make(map[string]int, len(kinds))
	for _, k := range kinds {
		cells[k.Name] = n
	}
	return cells
}

func runtimesOf(kinds []runtime.Kind) []whisk.Runtime {
	all := make([]whisk.Runtime, len(kinds))
	for i, k := range kinds {
		all[i] = whisk.Runtime{Kind: k.Name, Family: k.Family, Image: k.Image, Default: k.Default, RequireMain: k.RequireMain}
	}
	return all
}

func identities(users []config.User) []whisk.Identity {
	all := make([]whisk.Identity, len(users))
	for i, u := range users {
		all[i] = whisk.Identity{Subject: u.Namespace, Namespace: u.Namespace, UUID: u.UUID, Secret: u.Secret}
	}
	return all
}

// Invoke is the fused call: the openwhisk plugin calling an action of this process.
func (f *functions) Invoke(ctx context.Context, c *plugins.InvokeCall) (status int, body []byte, local bool) {
	if !f.hosts.has(c.APIHost) {
		return 0, nil, false
	}
	status, body, _ = f.api.InvokeLocal(ctx, api.LocalCall{
		Token: c.Token, Namespace: c.Namespace, Package: c.Package, Action: c.Action,
		Result: c.Result, Wait: c.Wait, Body: c.Body,
	})
	if errors.Is(ctx.Err(), context.Canceled) {
		return 0, nil, true
	}
	return status, body, true
}

var _ plugins.Invoker = (*functions)(nil)
