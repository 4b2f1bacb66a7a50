package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/whisk/runtime"
)

// Names of environment variables by which a test starts this program again, to
// be a platform of its own.
const (
	platformDir   = "MILLRACE_TEST_PLATFORM"  // launch an instance in this folder, print its pid, wait
	isolationMode = "MILLRACE_TEST_ISOLATION" // in this mode

	nobody = 65534
)

// bePlatform launches a busy instance and waits to be killed.
func bePlatform(dir string) {
	l, err := New(Config{Dir: dir, Isolation: os.Getenv(isolationMode)})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	i, err := l.Launch(context.Background(), "nodejs:20")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, err = i.Init(context.Background(), &runtime.Init{Code: []byte(`function main() { for (;;); }`)})
	fmt.Println(i.(*instance).pid, err)
	_, _ = call(i, `{}`)
}

func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }

// A platform that is killed takes its instances with it, busy ones too, and the
// next one cleans up.
func TestKilledPlatform(t *testing.T) {
	t.Parallel()
	probe := newLauncher(t, Config{})
	needKind(t, probe, "nodejs:20")
	for _, isolation := range []string{IsolationAuto, IsolationOff} {
		t.Run(isolation, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), platformDir+"="+dir, isolationMode+"="+isolation)
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			text, _, _ := strings.Cut(line, " ")
			pid, numErr := strconv.Atoi(text)
			if err != nil || numErr != nil {
				t.Fatalf("the platform says %q (%v)", line, err)
			}
			if !exists(pid) {
				t.Errorf("there is no process %d", pid)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			poll(t, "the instance's end", func() bool { return !exists(pid) })
			newLauncher(t, Config{Dir: dir})
			runs, err := filepath.Glob(filepath.Join(dir, runPrefix+"*"))
			if err != nil || len(runs) != 1 {
				t.Errorf("%v, folders after the next start: %v", err, runs)
			}
			groups, err := filepath.Glob("/sys/fs/cgroup/*/" + groupPrefix(cmd.Process.Pid) + "*")
			if err != nil || len(groups) > 0 {
				t.Errorf("%v, groups after the next start: %v", err, groups)
			}
		})
	}
}

// All that holds for root's platform holds for another user's, as far as the
// machine lets it.
func TestUnprivileged(t *testing.T) { // not in parallel: a program that is being written cannot be run
	if os.Geteuid() != 0 {
		t.Skip("the other tests run without privileges already")
	}
	dir, err := os.MkdirTemp("", "millrace-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "process.test")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile("/proc/self/exe", program)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^Test(FilesOf|ProcessesOf|SystemCalls|TmpLimit|Network|Archives|LogsBefore)", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFilesOfTheHost") {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Close ends calls and frees everything, also while many are launched and run.
func TestCloseWhileBusy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if l.byKind["nodejs:20"] == nil {
		t.Skip("no interpreter for nodejs:20 is installed")
	}
	i := action(t, l, "nodejs:20", `function main() { return new Promise(() => {}) }`, func(in *runtime.Init) { in.Concurrency = 4 })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if reply, err := call(i, `{}`); err == nil {
				t.Errorf("a call was answered: %s", reply.Body)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if i, err := l.Launch(ctx, "nodejs:20"); err == nil {
				_ = i.Close()
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, err := l.Launch(context.Background(), "nodejs:20"); err == nil {
		t.Error("a closed launcher has launched an instance")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 2 { // the lock and what is known of interpreters stay
		t.Errorf("%v, left in the folder: %v", err, left)
	}
}

func TestLaunchEndsWithContext(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	needKind(t, l, "nodejs:20")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if i, err := l.Launch(ctx, "nodejs:20"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
		if err == nil {
			i.Close()
		}
	}
}

func TestKindsMapToTheNearest(t *testing.T) {
	t.Parallel()
	found := []interpreter{
		{family: "nodejs", version: "18.2.0", number: 18000}, {family: "nodejs", version: "20.1.1", number: 20000},
		{family: "python", version: "3.9.1", number: 3009}, {family: "python", version: "3.12.0", number: 3012},
	}
	kinds, byKind := mapKinds(found)
	for kind, want := range map[string]string{
		"nodejs:6": "node v18.2.0", "nodejs:18": "node v18.2.0", "nodejs:20": "node v20.1.1", "nodejs:24": "node v20.1.1",
		"python:2": "python 3.9.1", "python:3": "python 3.9.1", "python:3.11": "python 3.12.0",
	} {
		if in := byKind[kind]; in == nil || in.runs() != want {
			t.Errorf("%s runs %+v, want %s", kind, in, want)
		}
	}
	defaults := ""
	for _, k := range kinds {
		if k.Default {
			defaults += k.Name + " " + k.Image + "\n"
		}
	}
	if defaults != "nodejs:20 openwhisk/action-nodejs-v20:nightly\npython:3.10 openwhisk/action-python-v3.10:nightly\n" {
		t.Errorf("defaults are %q", defaults)
	}
	if kinds, _ := mapKinds(found[:2]); kinds[len(kinds)-1].Family != "nodejs" {
		t.Error("there are kinds without an interpreter")
	}
}

// What is known of a program is forgotten when its file changes.
func TestProbesAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, known := filepath.Join(dir, "python3"), filepath.Join(dir, "known.json")
	write := func(version string) {
		script := "#!/bin/sh\nprintf '" + version + "\\n/opt/p/bin/python3\\n/opt/p\\n/usr\\n'\necho >> " + dir + "/ran\n"
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for n, step := range []struct {
		version string
		runs    int64
	}{{"3.9.1", 1}, {"", 1}, {"3.11.12", 2}, {"", 2}} {
		if step.version != "" {
			write(step.version)
		}
		found := findInterpreters([]string{program}, known)
		ran, err := os.Stat(dir + "/ran")
		if err != nil || len(found) != 1 || ran.Size() != step.runs {
			t.Fatalf("step %d: %v, found %+v, run %v times", n, err, found, ran.Size())
		}
		if in := found[0]; step.version != "" && in.version != step.version || in.path != "/opt/p/bin/python3" || len(in.roots) != 1 || in.roots[0] != "/opt/p" {
			t.Errorf("step %d: %+v", n, in)
		}
	}
}
