// Package servertest runs the whole system inside a test, on free ports and with
// state of its own.
package servertest

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/server"
)

// The credentials that every tutorial of the originals has, in force here too.
const (
	AdminKey = "edd1c9f034335f136f87ad84b625c8f1"
	GuestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// OperatorKey opens the operator API.
const OperatorKey = "an operator key for nothing but tests"

// Site is a running server. The addresses are base URLs, http://127.0.0.1:port;
// one of a role that does not run is empty.
type Site struct {
	Gateway, Secured, Control, Status, Admin, Functions, APIs, Operator, Console, Metrics string
	// Streams are the last addresses of streams by tcp, tls and udp; Proxied those of
	// the gateway for clients that begin with a PROXY head.
	Streams map[string]string
	Proxied []string
}

// Start starts every role, keeping nothing unless change sets Data, and stops
// them when the test ends. A test package that starts functions calls
// process.Main first thing in its TestMain.
func Start(t testing.TB, change ...func(*config.Config)) *Site {
	t.Helper()
	cfg := config.Default()
	cfg.Gateway.Listen = []config.Listener{free}
	cfg.Gateway.TLS.Enabled = false
	cfg.Functions.Listen = []config.Listener{free}
	cfg.Functions.APIGatewayListen = []config.Listener{free}
	cfg.Console.Listen = []config.Listener{free}
	return open(t, cfg, server.Options{}, change)
}

// StartFile is Start of a gateway and its Admin API, as the config.yaml at path and the
// files beside it say, with the listeners it names on free ports.
func StartFile(t testing.TB, path string) *Site {
	t.Helper()
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
	g := &cfg.Gateway
	for _, listeners := range [][]config.Listener{g.Listen, g.TLS.Listen, g.Stream.UDP, g.ProxyProtocol.Listen, g.ProxyProtocol.ListenTLS} {
		for i := range listeners {
			listeners[i].Addr = free.Addr
		}
	}
	for i := range g.Stream.TCP {
		g.Stream.TCP[i].Addr = free.Addr
	}
	return open(t, cfg, server.Options{ConfigFile: path}, nil)
}

// free takes any free port of this machine alone.
var free = config.Listener{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Network: "tcp"}

// open starts what cfg says, with what no test is about on free ports.
func open(t testing.TB, cfg *config.Config, opt server.Options, change []func(*config.Config)) *Site {
	t.Helper()
	opt.Log, opt.Version, opt.Built = slog.New(slog.NewTextHandler(t.Output(), nil)), "test", time.Now()
	cfg.Ephemeral = true
	cfg.DrainTimeout = 30 * time.Second
	cfg.Gateway.Control.Listen, cfg.Gateway.Status.Listen, cfg.Gateway.Prometheus.Listen, cfg.Admin.Listen = free, free, free, free
	cfg.Operator.Listen, cfg.Operator.Key = free, OperatorKey
	for _, c := range change {
		c(cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, cfg, opt)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopping the server: %v", err)
		}
	})
	site := &Site{Streams: map[string]string{}}
	for _, a := range s.Status().Addresses {
		switch role := config.Role(a.Role); {
		case a.What == "Control API":
			site.Control = a.URL
		case a.What == "status API":
			site.Status = a.URL
		case a.What == "metrics":
			site.Metrics = a.URL
		case a.What == server.APIGatewayName:
			site.APIs = a.URL
		case a.What == "gateway, TLS":
			site.Secured = a.URL
		case strings.HasPrefix(a.What, server.StreamsName):
			scheme, addr, _ := strings.Cut(a.URL, "://")
			site.Streams[scheme] = addr
		case strings.HasPrefix(a.What, server.ProxiedName):
			site.Proxied = append(site.Proxied, strings.TrimPrefix(a.URL, "http://"))
		case role == config.RoleGateway:
			site.Gateway = a.URL
		case role == config.RoleAdmin:
			site.Admin = a.URL
		case role == config.RoleFunctions:
			site.Functions = a.URL
		case role == config.RoleOperator:
			site.Operator = a.URL
		case role == config.RoleConsole:
			site.Console = a.URL
		}
	}
	return site
}
