package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"millrace/config"
	"millrace/server"
)

// serveFlags override what the configuration file says.
type serveFlags struct {
	file, data, isolation string
	roles                 []string
	ephemeral, insecure   bool
}

func newServe(e *env) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the gateway, the functions platform and the console",
		Long: `Start every role in this process, with embedded state in a data folder.

SIGTERM or an interrupt stops it when the accepted requests have been answered;
a second one stops it at once. SIGUSR1 opens the access log anew.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.serve(cmd.Context(), cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "the config.yaml `FILE`: APISIX's key names, with functions: and console: beside them")
	flags.StringVar(&f.data, "data", "", "the data `FOLDER` (default: millrace in the user's state folder)")
	flags.BoolVar(&f.ephemeral, "ephemeral", false, "keep nothing: all state is in memory")
	flags.StringSliceVar(&f.roles, "roles", nil, "the roles to start, joined by commas: gateway, admin, functions, operator, console (default: all)")
	flags.StringVar(&f.isolation, "isolation", "", "how actions are shut in: auto (what the machine allows), require (all of it or do not start) or off")
	flags.BoolVar(&f.insecure, "insecure-well-known-keys", false, "accept the well-known keys from other machines too")
	return cmd
}

func (e *env) serve(ctx context.Context, cmd *cobra.Command, f *serveFlags) error {
	cfg, err := config.Load(f.file, e.lookup)
	if err != nil {
		return err
	}
	if err := f.apply(cfg, e.lookup); err != nil {
		return err
	}
	log := e.logger(cfg.Log)
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	if _, set := e.lookup("GOGC"); !set {
		tuneCollector()
	}
	ctx, stop := stopSignals(ctx)
	defer stop()
	opt := server.Options{Log: log, Version: version(), Built: built()}
	if f.file != "" {
		opt.DebugFile = filepath.Join(filepath.Dir(f.file), "debug.yaml")
	}
	s, err := server.Open(ctx, cfg, opt)
	if err != nil {
		return err
	}
	greet(cmd.OutOrStdout(), s, cfg)
	defer onSignal(syscall.SIGUSR1, s.ReopenLogs)()
	return s.Run(ctx)
}

// onSignal calls fn at each signal, until stop is called.
func onSignal(sig os.Signal, fn func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	go func() {
		for range signals {
			fn()
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// apply lets the flags override the configuration.
func (f *serveFlags) apply(cfg *config.Config, lookup func(string) (string, bool)) error {
	if len(f.roles) > 0 {
		roles, err := config.ParseRoles(f.roles)
		if err != nil {
			return fmt.Errorf("flag --roles: %w", err)
		}
		cfg.Roles = roles
	}
	if f.data != "" && f.ephemeral {
		return errors.New("--data and --ephemeral exclude each other: an ephemeral server has no data folder")
	}
	switch f.isolation {
	case "":
	case "auto", "require", "off":
		cfg.Functions.Isolation = f.isolation
	default:
		return fmt.Errorf("flag --isolation: %q is none of auto, require, off", f.isolation)
	}
	cfg.InsecureWellKnownKeys = cfg.InsecureWellKnownKeys || f.insecure
	cfg.Ephemeral = cfg.Ephemeral && f.data == "" || f.ephemeral
	if f.data != "" {
		cfg.Data = f.data
	}
	if cfg.Data == "" && !cfg.Ephemeral {
		var err error
		cfg.Data, err = stateFolder(lookup)
		return err
	}
	return nil
}

// stateFolder is millrace in the user's folder for state.
func stateFolder(lookup func(string) (string, bool)) (string, error) {
	if base, ok := lookup("XDG_STATE_HOME"); ok && filepath.IsAbs(base) {
		return filepath.Join(base, "millrace"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the data folder: %w; give one with --data, or --ephemeral to keep nothing", err)
	}
	return filepath.Join(home, ".local", "state", "millrace"), nil
}

// stopSignals ends the context at the first SIGTERM or interrupt, and the
// process at the second.
func stopSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel()
		<-signals
		os.Exit(1)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// logger writes text to a terminal and JSON elsewhere, to the error stream.
func (e *env) logger(c config.Log) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.Level, ReplaceAttr: durationsAsText}
	if c.Format == "text" || c.Format == "auto" && e.terminal {
		return slog.New(slog.NewTextHandler(e.err, opts))
	}
	return slog.New(slog.NewJSONHandler(e.err, opts))
}

// durationsAsText writes 1m0s where the JSON handler would count nanoseconds.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// greet prints where everything listens, the generated keys, which nobody else
// knows, and the line about those that everybody knows.
func greet(out io.Writer, s *server.Server, cfg *config.Config) {
	status := s.Status()
	fmt.Fprintf(out, "Millrace %s is ready\n", status.Version)
	width := 0
	for _, a := range status.Addresses {
		width = max(width, len(a.What))
	}
	for _, a := range status.Addresses {
		fmt.Fprintf(out, "  %-*s  %s\n", width, a.What, a.URL)
	}
	for _, k := range cfg.Admin.Keys {
		if k.Generated {
			fmt.Fprintf(out, "Admin key %q made for this run: %s\n", k.Name, k.Key)
		}
	}
	if file := s.OperatorKeyFile(); file != "" {
		fmt.Fprintln(out, "The key of the operator API is in "+file)
	}
	if status.Credentials != "" {
		fmt.Fprintln(out, status.Credentials)
	}
}
