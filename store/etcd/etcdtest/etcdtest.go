// Package etcdtest starts real etcds for tests, which can be stopped and started again.
package etcdtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/freeport"
)

// Server is an etcd with a folder of its own: a cluster by itself, or a member of one.
type Server struct {
	// URL is where clients find it, Data the folder with what it holds.
	URL, Data string

	t                   testing.TB
	name, peer, cluster string
	log                 string // a file
	args                []string
	cmd                 *exec.Cmd
	stopped             chan struct{}
}

// Start starts an etcd, which ends with the test. With arguments for TLS its URL is
// https. A test is skipped where etcd is not installed.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartCluster(t, 1, args...)[0]
}

// StartCluster starts the members of a cluster.
func StartCluster(t testing.TB, members int, args ...string) []*Server {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		t.Skip("etcd is not installed; scripts/install.sh test brings it")
	}
	scheme := "http://"
	if slices.Contains(args, "--cert-file") {
		scheme = "https://"
	}
	all, names := make([]*Server, members), make([]string, members)
	for i := range all {
		dir := t.TempDir()
		all[i] = &Server{
			URL: scheme + freeport.Address(t), Data: filepath.Join(dir, "data"),
			t: t, name: fmt.Sprint("m", i), peer: "http://" + freeport.Address(t), log: filepath.Join(dir, "log"), args: args,
		}
		names[i] = all[i].name + "=" + all[i].peer
	}
	for _, s := range all {
		s.cluster = strings.Join(names, ",")
		s.Start()
		t.Cleanup(s.Stop)
	}
	return all
}

// Start starts it again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command("etcd", append([]string{"--name", s.name, "--data-dir", s.Data,
		"--listen-client-urls", s.URL, "--advertise-client-urls", s.URL,
		"--listen-peer-urls", s.peer, "--initial-advertise-peer-urls", s.peer, "--initial-cluster", s.cluster,
		"--unsafe-no-fsync", "--heartbeat-interval", "20", "--election-timeout", "400"}, s.args...)...) // elects soon
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.stopped = make(chan struct{})
	if err := startOn(s.cmd, s.stopped); err != nil {
		s.t.Fatal(err)
	}
}

// startOn starts a program on a thread that lasts until ended is closed: the kernel
// kills a child with a parent's death signal when that thread ends, and the platform's
// launchers, which tests have in the same process, do end threads.
func startOn(cmd *exec.Cmd, ended <-chan struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-ended
	}()
	return <-started
}

// Stop kills it.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // it was killed
	}
	close(s.stopped)
	s.cmd = nil
}

// Log is what it has said.
func (s *Server) Log() string {
	text, _ := os.ReadFile(s.log)
	return string(text)
}
