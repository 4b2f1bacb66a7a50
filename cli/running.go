package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace/config"
)

func newStop(e *env) *cobra.Command {
	return e.control("stop", "Stop the server at once", "Requests that are being served are cut off; what was acknowledged is kept.",
		func(_ context.Context, r *running) error { return r.end(stopTime, syscall.SIGUSR2) })
}

func newQuit(e *env) *cobra.Command {
	return e.control("quit", "Stop the server when the accepted requests have been answered", "They have the time that nginx_config.worker_shutdown_timeout gives them.",
		func(_ context.Context, r *running) error { return r.end(r.cfg.DrainTimeout+stopTime, syscall.SIGTERM) })
}

func newReload(e *env) *cobra.Command {
	return e.control("reload", "Have the server read its config.yaml again",
		`What can be changed while it runs is in force then: which plugins may be used, the level
of the log, the access log's file and form, and the keys, addresses and CORS of the Admin
API. What waits for a restart is named. A file with a mistake changes nothing.`,
		func(ctx context.Context, r *running) error { return r.reload(ctx, e) })
}

// stopTime is how long a server may take to end when it waits for nobody.
const stopTime = 30 * time.Second

// control makes a command for the running server.
func (e *env) control(name, short, long string, do func(context.Context, *running) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: short + ".\n\n" + long + `

The server is found by the pid file in its data folder: give the --config, --data or
--pid-file that it was started with.`,
		Args: cobra.NoArgs,
	}
	f := &serveFlags{}
	f.addPlace(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := e.running(f)
		if err != nil {
			return err
		}
		if r.pid == 0 {
			return fmt.Errorf("no server runs with the pid file %s: give the --config, --data or --pid-file that it was started with", r.path)
		}
		return do(cmd.Context(), r)
	}
	return cmd
}

// running is a server that may run, and its configuration.
type running struct {
	path  string // of the pid file
	pid   int    // 0: there is none
	ready bool   // it has started
	cfg   *config.Config
}

// running finds the server that was started with these flags. A configuration that is
// wrong by now does not keep it from being found.
func (e *env) running(f *serveFlags) (*running, error) {
	cfg, err := f.load(e.lookup)
	if err != nil {
		cfg = config.Default()
		if f.data == "" && f.pidFile == "" && f.file != "" {
			return nil, fmt.Errorf("%w\n(to reach the server all the same, give its --pid-file)", err)
		}
		if err := f.apply(cfg, e.lookup); err != nil {
			return nil, err
		}
	}
	r := &running{path: f.pidPath(cfg), cfg: cfg}
	if r.path == "" {
		return nil, errors.New("a server that keeps nothing has no data folder with a pid file: start it with a --pid-file, and give that")
	}
	r.pid, r.ready, err = runningPID(r.path)
	return r, err
}

// end sends a signal and waits for the server's end.
func (r *running) end(limit time.Duration, sig syscall.Signal) error {
	if err := syscall.Kill(r.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping process %d: %w", r.pid, err)
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if pid, _, err := runningPID(r.path); err != nil || pid != r.pid {
			return err
		}
	}
	return fmt.Errorf("process %d has not ended after %s: see its log, or end it with kill -9 %d", r.pid, limit, r.pid)
}

// reloadTime is how long a server may take to answer a reload.
const reloadTime = 30 * time.Second

// reload has the server read its configuration again and says what came of it.
func (r *running) reload(ctx context.Context, e *env) error {
	if !r.ready {
		return fmt.Errorf("process %d is still starting: see its log, and try again", r.pid)
	}
	answer := reloadAnswer(r.path)
	if err := os.Remove(answer); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syscall.Kill(r.pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("telling process %d: %w", r.pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	for {
		if text, err := os.ReadFile(answer); err == nil && bytes.HasSuffix(text, []byte("\n")) {
			// The file stays, for others who have asked at the same time.
			if problem, failed := strings.CutPrefix(strings.TrimSpace(string(text)), failedReload); failed {
				return errors.New("the server goes on as it was: " + problem)
			}
			_, err := e.out.Write(text)
			return err
		}
		if pid, _, err := runningPID(r.path); err != nil || pid != r.pid {
			return errors.Join(errors.New("the server has ended: see its log"), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d does not answer: see its log", r.pid)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// failedReload begins the answer of a server that could not reload.
const failedReload = "failed: "

// reloadAnswer is the file in which a server says what came of a reload.
func reloadAnswer(pidPath string) string { return pidPath + ".reload" }
