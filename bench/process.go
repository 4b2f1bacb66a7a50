package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// clockTick is the kernel's unit of CPU accounting (USER_HZ), 10 ms on Linux.
const clockTick = 10 * time.Millisecond

var (
	startedMu sync.Mutex
	started   = map[*process]bool{}
)

// process is a started server with its children.
type process struct {
	cmd  *exec.Cmd
	pid  int
	done chan struct{}
}

// start runs a command pinned to core (none if it is negative), in a process
// group of its own, its output in out/name.log.
func start(o options, name string, core int, args ...string) (*process, error) {
	if core >= 0 {
		args = append([]string{"taskset", "-c", strconv.Itoa(core)}, args...)
	}
	log, err := os.Create(filepath.Join(o.out, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = log, log, o.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = p.cmd.Process.Pid
	go func() { p.cmd.Wait(); close(p.done) }()
	startedMu.Lock()
	started[p] = true
	startedMu.Unlock()
	return p, nil
}

// stop ends the process and waits for it, by force after five seconds.
func (p *process) stop() {
	syscall.Kill(p.pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
	startedMu.Lock()
	delete(started, p)
	startedMu.Unlock()
}

func killAll() {
	startedMu.Lock()
	defer startedMu.Unlock()
	for p := range started {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// usage is what the kernel accounts to a process and its descendants.
type usage struct {
	cpu   time.Duration
	bytes int64 // proportional set size
}

// usage reads the accounting of the process, its live descendants and those it
// has waited for.
func (p *process) usage() usage {
	var u usage
	for _, pid := range descendants(p.pid) {
		f := statFields(pid)
		if f == nil {
			continue
		}
		// utime, stime, cutime, cstime: fields 14 to 17 of proc(5), here from the third on.
		for _, i := range []int{11, 12, 13, 14} {
			ticks, _ := strconv.ParseInt(f[i], 10, 64)
			u.cpu += time.Duration(ticks) * clockTick
		}
		u.bytes += pss(pid)
	}
	return u
}

func descendants(root int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if f := statFields(pid); f != nil {
				parent, _ := strconv.Atoi(f[1])
				children[parent] = append(children[parent], pid)
			}
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statFields answers /proc/PID/stat from its third field (state) on.
func statFields(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return strings.Fields(rest)
}

func pss(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// freePort answers a loopback port that was free a moment ago.
func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// waitHTTP waits until url answers with any status below 500. Nobody vouches for
// the certificates of a benchmark.
func waitHTTP(url string) error {
	deadline := time.Now().Add(20 * time.Second)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for {
		resp, err := client.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode < 500 {
				return nil
			}
			err = fmt.Errorf("status %s", resp.Status)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for %s: %w", url, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
