package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func newStart(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start [flags of serve]",
		Short: "Start the server in the background",
		Long: `Start a server that goes on when this command ends, and wait until it listens. The
flags are those of serve. What it logs is appended to millrace.log in the data folder.`,
		Args: cobra.NoArgs,
	}
	f := addServeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return e.start(cmd.Context(), f) }
	return cmd
}

func newRestart(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart [flags of serve]",
		Short: "Stop the server as stop does, if one runs, and start it in the background",
		Args:  cobra.NoArgs,
	}
	f := addServeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := e.running(f)
		if err != nil {
			return err
		}
		if _, err := f.load(e.lookup); err != nil { // while the old one still runs
			return err
		}
		if r.pid != 0 {
			if err := r.end(stopTime, syscall.SIGUSR2); err != nil {
				return err
			}
		}
		return e.start(cmd.Context(), f)
	}
	return cmd
}

// start runs serve in a process of its own, and waits until it is there.
func (e *env) start(ctx context.Context, f *serveFlags) error {
	cfg, err := f.load(e.lookup)
	if err != nil {
		return err
	}
	path := f.pidPath(cfg)
	if path == "" {
		return errors.New("a server that keeps nothing has no data folder with a pid file, and nothing could stop it: give a --pid-file")
	}
	if pid, _, err := runningPID(path); err != nil || pid != 0 {
		return errors.Join(err, fmt.Errorf("a server runs already as process %d: restart it, or stop it first", pid))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the server's log: %w", err)
	}
	log, err := os.OpenFile(strings.TrimSuffix(path, ".pid")+".log", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	pid, ended, err := spawn(log, f.args())
	if err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	for {
		if there, ready, _ := runningPID(path); there == pid && ready {
			break
		}
		select {
		case <-ended:
			text, _ := io.ReadAll(io.NewSectionReader(log, before, 64<<10))
			return fmt.Errorf("the server has ended:\n%s", bytes.TrimSpace(text))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	fmt.Fprintf(e.out, "process %d, log in %s\n", pid, log.Name())
	return nil
}

// spawn runs serve with its output in a file; ended is closed if it ends while we live.
func spawn(log *os.File, args []string) (pid int, ended <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.Command(self, append([]string{"serve"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its log says why
		close(gone)
	}()
	return cmd.Process.Pid, gone, nil
}

// args are the flags as serve takes them.
func (f *serveFlags) args() (args []string) {
	for name, value := range map[string]string{
		"--config": f.file, "--data": f.data, "--pid-file": f.pidFile, "--isolation": f.isolation, "--roles": strings.Join(f.roles, ","),
	} {
		if value != "" {
			args = append(args, name, value)
		}
	}
	if f.ephemeral {
		args = append(args, "--ephemeral")
	}
	if f.insecure {
		args = append(args, "--insecure-well-known-keys")
	}
	return args
}
