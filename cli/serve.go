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
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/config"
	"millrace/server"
)

// serveFlags override what the configuration file says.
type serveFlags struct {
	file, data, pidFile, isolation string
	roles                          []string
	ephemeral, insecure            bool
}

func newServe(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the gateway, the functions platform and the console",
		Long: `Start every role in this process, with embedded state in a data folder.

SIGTERM, SIGQUIT or an interrupt stops it when the accepted requests have been
answered; a second one stops it at once, as SIGUSR2 does. SIGHUP has it read
config.yaml again, as far as that can change while it runs (see reload). SIGUSR1 opens
the access log anew.`,
		Args: cobra.NoArgs,
	}
	f := addServeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return e.serve(cmd.Context(), cmd, f) }
	return cmd
}

// addPlace adds the flags that say where a server is.
func (f *serveFlags) addPlace(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "the config.yaml `FILE`: APISIX's key names, with functions: and console: beside them")
	flags.StringVar(&f.data, "data", "", "the data `FOLDER` (default: millrace in the user's state folder)")
	flags.StringVar(&f.pidFile, "pid-file", "", "the `FILE` that says which process the server is (default: millrace.pid in the data folder)")
}

func addServeFlags(cmd *cobra.Command) *serveFlags {
	f := &serveFlags{}
	f.addPlace(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.ephemeral, "ephemeral", false, "keep nothing: all state is in memory")
	flags.StringSliceVar(&f.roles, "roles", nil, "the roles to start, joined by commas: gateway, admin, functions, operator, console (default: all)")
	flags.StringVar(&f.isolation, "isolation", "", "how actions are shut in: auto (what the machine allows), require (all of it or do not start) or off")
	flags.BoolVar(&f.insecure, "insecure-well-known-keys", false, "accept the well-known keys from other machines too")
	return f
}

// load reads the configuration, with the flags over it.
func (f *serveFlags) load(lookup func(string) (string, bool)) (*config.Config, error) {
	cfg, err := config.Load(f.file, lookup)
	if err != nil {
		return nil, err
	}
	return cfg, f.apply(cfg, lookup)
}

// pidPath is the pid file; empty if there is none.
func (f *serveFlags) pidPath(cfg *config.Config) string {
	if f.pidFile != "" || cfg.Ephemeral {
		return f.pidFile
	}
	return filepath.Join(cfg.Data, "millrace.pid")
}

func (e *env) serve(ctx context.Context, cmd *cobra.Command, f *serveFlags) error {
	cfg, err := f.load(e.lookup)
	if err != nil {
		return err
	}
	level := &slog.LevelVar{}
	level.Set(cfg.Log.Level)
	log := e.logger(cfg.Log.Format, level)
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	if cfg.Workers > 0 {
		runtime.GOMAXPROCS(cfg.Workers)
	}
	if _, set := e.lookup("GOGC"); !set {
		tuneCollector()
	}
	ctx, again, stop := stopSignals(ctx)
	defer stop()
	var pid *pidFile
	if path := f.pidPath(cfg); path != "" {
		if pid, err = lockPIDFile(path); err != nil {
			return err
		}
		defer pid.release()
	}
	s, err := server.Open(ctx, cfg, server.Options{Log: log, Level: level, Version: version(), Built: built(), ConfigFile: f.file})
	if err != nil {
		return err
	}
	defer context.AfterFunc(again, s.Hurry)()
	defer onSignal(syscall.SIGHUP, func() { e.hangUp(f, s, log, pid) })()
	defer onSignal(syscall.SIGUSR1, s.ReopenLogs)()
	if pid != nil {
		if err := pid.ready(); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	greet(cmd.OutOrStdout(), s, cfg)
	return s.Run(ctx)
}

// hangUp reads the configuration again. A server whose terminal has gone ends.
func (e *env) hangUp(f *serveFlags, s *server.Server, log *slog.Logger, pid *pidFile) {
	if e.terminal && !term.IsTerminal(int(os.Stdout.Fd())) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // to ourselves
		return
	}
	answer := "the configuration is reloaded"
	cfg, err := f.load(e.lookup)
	var waiting []string
	if err == nil {
		for _, w := range cfg.Warnings {
			log.Warn(w)
		}
		waiting, err = s.Reload(cfg)
	}
	switch {
	case err != nil:
		log.Error("reloading the configuration; what was in force stays", "err", err)
		answer = failedReload + err.Error()
	case len(waiting) > 0:
		log.Warn("the configuration is reloaded; changes of some keys wait for a restart", "keys", waiting)
		answer += "; changes of these keys wait for a restart: " + strings.Join(waiting, ", ")
	default:
		log.Info(answer)
	}
	if pid == nil {
		return
	}
	if err := pid.answer(answer); err != nil {
		log.Error("telling the command reload what came of it", "err", err)
	}
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

// stopSignals ends the first context at the first signal to stop, the other at the
// second, and the process at the third. At SIGUSR2, which the command stop sends, it ends
// both contexts, whatever has come before: what is acknowledged must be kept.
func stopSignals(parent context.Context) (first, second context.Context, stop func()) {
	first, cancelFirst := context.WithCancel(parent)
	second, cancelSecond := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR2)
	ended := make(chan struct{})
	go func() {
		for n := 0; ; {
			select {
			case sig := <-signals:
				if n++; sig == syscall.SIGUSR2 {
					n = 2
				}
			case <-ended:
				return
			}
			if cancelFirst(); n == 2 {
				cancelSecond()
			} else if n > 2 {
				os.Exit(1)
			}
		}
	}()
	return first, second, func() { signal.Stop(signals); close(ended); cancelFirst() }
}

// logger writes text to a terminal and JSON elsewhere, to the error stream.
func (e *env) logger(format string, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: durationsAsText}
	if format == "text" || format == "auto" && e.terminal {
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
