package process

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"millrace/whisk/runtime"
)

//go:embed launcher.js launcher.py
var launchers embed.FS

// forker starts processes from a thread of its own. The kernel kills an instance
// when the thread that started it ends (PR_SET_PDEATHSIG), so that must be one
// that lives as long as the launcher.
type forker struct {
	work chan func()
	done chan struct{}
}

func newForker() *forker {
	f := &forker{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		goruntime.LockOSThread() // never unlocked: the thread ends with its goroutine
		for fn := range f.work {
			fn()
		}
	}()
	return f
}

// do runs fn on the forker's thread.
func (f *forker) do(fn func()) {
	done := make(chan struct{})
	f.work <- func() { fn(); close(done) }
	<-done
}

func (f *forker) close() {
	close(f.work)
	<-f.done
}

// ends are our ends of an instance's pipes.
type ends struct{ req, ans, stdout, stderr *os.File }

func (e *ends) close() {
	for _, f := range []*os.File{e.req, e.ans, e.stdout, e.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// openPipes makes the four pipes of an instance. theirs are its standard streams
// and the wire, in the order of their numbers.
func openPipes(uid int) (ours ends, theirs []*os.File, err error) {
	defer func() {
		if err != nil {
			ours.close()
			closeAll(theirs)
		}
	}()
	null, err := devNull()
	if err != nil {
		return ours, nil, err
	}
	theirs = append(theirs, null)
	for n, our := range []**os.File{&ours.stdout, &ours.stderr, &ours.req, &ours.ans} {
		var fds [2]int
		if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
			return ours, theirs, fmt.Errorf("making a pipe: %w", err)
		}
		mine, its := fds[0], fds[1]
		if n == 2 { // requests go the other way
			mine, its = fds[1], fds[0]
		}
		theirs = append(theirs, os.NewFile(uintptr(its), "pipe"))
		if err := syscall.SetNonblock(mine, true); err != nil {
			return ours, theirs, err
		}
		*our = os.NewFile(uintptr(mine), "pipe")
		if uid != 0 && n < 2 { // so that /dev/stdout can be opened by name
			if err := unix.Fchown(its, uid, uid); err != nil {
				return ours, theirs, err
			}
		}
	}
	return ours, theirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// start starts an instance and waits until it is a stem cell.
func (l *Launcher) start(ctx context.Context, in *interpreter) (*instance, error) {
	serial := l.serial.Add(1)
	b, home, err := l.blueprint(in, serial)
	if err != nil {
		return nil, err
	}
	i, err := l.spawn(b, serial)
	if err != nil {
		if home != "" {
			err = errors.Join(err, os.RemoveAll(home))
		}
		return nil, err
	}
	i.home = home
	if err := i.awaitReady(ctx); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// blueprint says how an instance of an interpreter is built; home is a folder
// made for it, where it has no /tmp of its own.
func (l *Launcher) blueprint(in *interpreter, serial uint32) (b blueprint, home string, err error) {
	launcher := launcherOf[in.family]
	b = l.layers.blueprint(l, serial)
	b.Launcher, b.Roots = launcher, in.roots
	program, dir := filepath.Join(launcherRoot, launcher), "/tmp"
	if !b.Root {
		home = filepath.Join(l.dir.homes, strconv.Itoa(int(serial)))
		if err := os.Mkdir(home, 0o700); err != nil {
			return b, "", err
		}
		if err := os.Chown(home, b.HostID, b.HostID); b.HostID != 0 && err != nil {
			return b, home, err
		}
		program, dir, b.Home = filepath.Join(l.dir.path, launcher), home, home
	}
	modules := ""
	if l.cfg.NodeModules != "" {
		modules = l.layers.seen(l.cfg.NodeModules, modulesRoot)
	}
	b.Env = l.environment(dir, modules)
	b.Args = append(append([]string{in.path}, flagsOf[in.family]...), program)
	return b, home, nil
}

// spawn starts the process of a blueprint, which waits for awaitReady.
func (l *Launcher) spawn(b blueprint, serial uint32) (*instance, error) {
	ours, theirs, err := openPipes(b.HostID)
	if err != nil {
		return nil, err
	}
	defer closeAll(theirs)
	i := &instance{l: l, user: uint32(b.HostID), req: ours.req, ans: ours.ans, done: make(chan struct{})}
	if l.groups != nil {
		i.group, err = l.groups.create(serial, l.cfg.MaxProcesses)
	}
	if err == nil {
		err = l.fork(i, b, theirs)
	}
	if err != nil {
		ours.close()
		if i.group != nil {
			err = errors.Join(err, i.group.remove())
		}
		return nil, err
	}
	i.read, err = newFrameReader(ours.req, ours.ans, l.cfg.MaxReply)
	go i.reap()
	if err := errors.Join(err, i.logs.start(ours.stdout, ours.stderr), l.add(i), i.enterGroup()); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// fork makes the process and sets pid and pidfd.
func (l *Launcher) fork(i *instance, b blueprint, files []*os.File) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	fds := make([]uintptr, len(files))
	for n, f := range files {
		fds[n] = f.Fd()
	}
	pidfd := -1
	attr := &syscall.ProcAttr{Dir: "/", Env: b.Env, Files: fds, Sys: l.layers.attributes(b)}
	attr.Sys.PidFD = &pidfd
	l.forker.do(func() {
		i.pid, _, err = syscall.StartProcess("/proc/self/exe", []string{sandboxName, string(text)}, attr)
	})
	if err != nil {
		return fmt.Errorf("starting a process: %w", err)
	}
	if pidfd < 0 {
		_ = syscall.Kill(i.pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(i.pid, nil, 0, nil)
		return errors.New("starting a process: the kernel gives no pidfd (Linux 5.4 or newer is needed)")
	}
	if err := syscall.SetNonblock(pidfd, true); err != nil {
		return err
	}
	i.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	return nil
}

// enterGroup puts the process, which waits for our word, into its cgroup.
func (i *instance) enterGroup() error {
	if i.group == nil {
		return nil
	}
	return i.group.enter(i.pid)
}

// awaitReady tells the process to build its sandbox and waits for its launcher.
func (i *instance) awaitReady(ctx context.Context) error {
	g := i.watch(ctx, time.Now().Add(launchTime), &i.timer)
	a, err := i.firstAnswer()
	if late := g.stop(); late != nil {
		i.kill(late)
		return late
	}
	if err == nil && a.Type == frameReady {
		return nil
	}
	i.kill(runtime.ErrExited)
	if err == nil && a.Type == frameRefused {
		return fmt.Errorf("building the sandbox: %s", a.Body)
	}
	reply, err := i.failure()
	return fmt.Errorf("%w before it was ready: %q", err, reply.Logs)
}

func (i *instance) firstAnswer() (answer, error) {
	if _, err := i.req.Write([]byte{goAhead}); err != nil {
		return answer{}, err
	}
	return i.read.next()
}
