package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"millrace/whisk/runtime"
)

// instance is one interpreter process, the first of its pid namespace where
// there is one: with it all its descendants die.
type instance struct {
	l     *Launcher
	pid   int
	pidfd *os.File // polled by the runtime: no thread waits for an instance
	req   *os.File // we write requests
	ans   *os.File // we read answers
	group *cgroup  // nil without cgroups
	user  uint32   // as which it runs; 0 if not as one of its own
	home  string   // a folder to remove, if the sandbox has no /tmp of its own
	logs  logs

	read     *frameReader
	lastCall atomic.Uint32
	code     *code // the unpacked archive it uses, nil if none

	// turn lets one call at a time use what follows, in its own goroutine. After
	// an Init with Concurrency > 1 calls go through shared instead.
	turn        sync.Mutex
	initialised bool
	scratch     []byte
	said        []byte
	timer       *time.Timer
	shared      *sharedWire

	mu    sync.Mutex
	cause error // why it was killed, nil while nobody has
	gone  bool  // it has been waited for: its pid may be another's
	oom   bool

	done      chan struct{}
	closeOnce sync.Once
}

// Done is closed when the process is gone.
func (i *instance) Done() <-chan struct{} { return i.done }

// kill ends the process with all its descendants; the first cause counts.
func (i *instance) kill(cause error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cause == nil {
		i.cause = cause
	}
	i.killLocked()
}

func (i *instance) killLocked() {
	if i.gone {
		return
	}
	// Errors mean that the process is gone already.
	_ = syscall.Kill(i.pid, syscall.SIGKILL)
	_ = syscall.Kill(-i.pid, syscall.SIGKILL)
	if i.group != nil {
		i.group.kill()
	}
}

// reap waits for the process to end and says so. It returns when it has.
func (i *instance) reap() {
	raw, err := i.pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(func(uintptr) bool { return i.tryWait() })
	}
	for err != nil && !i.tryWait() { // the pidfd cannot be polled
		time.Sleep(10 * time.Millisecond)
	}
	// An answer that was written before the end can still be read; a descendant
	// that holds the pipe open must not keep us waiting.
	_ = i.ans.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	close(i.done)
}

// tryWait asks for the process' end and tells whether it has come.
func (i *instance) tryWait() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	// Until it has been waited for, its pid cannot be another's.
	var end unix.Siginfo
	err := unix.Waitid(unix.P_PID, i.pid, &end, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == unix.EINTR || err == nil && end.Signo == 0 {
		return false
	}
	i.killLocked() // what is left of its group
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = syscall.Wait4(i.pid, nil, 0, nil)
	}
	i.gone = true
	i.oom = i.group != nil && i.group.outOfMemory()
	return true
}

// failure answers why a dead instance died, with the logs of its last call.
func (i *instance) failure() (*runtime.Reply, error) {
	<-i.done
	i.mu.Lock()
	cause, oom := i.cause, i.oom
	i.mu.Unlock()
	if cause == runtime.ErrExited && oom {
		cause = runtime.ErrOutOfMemory
	}
	return &runtime.Reply{Logs: i.logs.take()}, cause
}

// Close implements runtime.Instance.
func (i *instance) Close() error {
	i.kill(errClosed)
	<-i.done
	var err error
	i.closeOnce.Do(func() { err = i.free() })
	return err
}

// free releases what a dead instance held.
func (i *instance) free() error {
	i.l.remove(i)
	i.logs.close()
	if i.shared != nil {
		<-i.shared.ended
	}
	if i.code != nil {
		i.l.codes.release(i.code)
	}
	errs := []error{i.req.Close(), i.ans.Close(), i.pidfd.Close()}
	if i.group != nil {
		errs = append(errs, i.group.remove())
	}
	if i.home != "" {
		errs = append(errs, os.RemoveAll(i.home))
	}
	return errors.Join(errs...)
}

// guard kills an instance when a call outlives its deadline or its context.
type guard struct {
	ctx         context.Context
	timer       *time.Timer
	stopContext func() bool
}

// watch begins to guard a call; *timer is made if nil, and used again.
func (i *instance) watch(ctx context.Context, deadline time.Time, timer **time.Timer) guard {
	g := guard{ctx: ctx}
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if *timer == nil {
			*timer = time.AfterFunc(left, func() { i.kill(runtime.ErrTimeout) })
		} else {
			(*timer).Reset(left)
		}
		g.timer = *timer
	}
	if ctx.Done() != nil {
		g.stopContext = context.AfterFunc(ctx, func() { i.kill(ctx.Err()) })
	}
	return g
}

// stop ends the guard. An error says that it struck, or is about to.
func (g *guard) stop() error {
	if g.stopContext != nil && !g.stopContext() {
		return g.ctx.Err()
	}
	if g.timer != nil && !g.timer.Stop() {
		return runtime.ErrTimeout
	}
	return nil
}

// exchange sends a request and waits for its answer, in the calling goroutine.
func (i *instance) exchange(ctx context.Context, deadline time.Time, t frameType, rest []byte) (answer, error) {
	g := i.watch(ctx, deadline, &i.timer)
	id := i.lastCall.Add(1)
	a, err := i.converse(t, id, rest)
	if late := g.stop(); late != nil {
		i.kill(late)
		return answer{}, late
	}
	if err != nil {
		i.kill(runtime.ErrExited)
	}
	return a, err
}

func (i *instance) converse(t frameType, id uint32, rest []byte) (answer, error) {
	i.scratch = appendHead(i.scratch[:0], t, id, i.said, len(rest))
	if len(rest) <= smallRequest {
		i.scratch, rest = append(i.scratch, rest...), nil
	}
	a, err := i.read.ask(i.scratch, rest)
	if err != nil {
		return answer{}, err
	}
	if a.ID != id || (a.Type != frameOK && a.Type != frameFailed) {
		return answer{}, errMalformed
	}
	return a, nil
}

// Init implements runtime.Instance. What a successful Init logs is answered with
// the first call.
func (i *instance) Init(ctx context.Context, in *runtime.Init) (*runtime.Reply, error) {
	i.turn.Lock()
	defer i.turn.Unlock()
	if i.initialised {
		return failed("Cannot initialize the action more than once."), nil
	}
	i.initialised = true
	i.l.claim(i, in.Namespace)
	if len(in.Code) == 0 {
		return failed("Missing main/no code to execute."), nil
	}
	said, err := i.prepare(in)
	if bad := (*archiveError)(nil); errors.As(err, &bad) {
		return failed("Initialization has failed due to: " + bad.text), nil
	}
	if err != nil {
		return nil, fmt.Errorf("initialising an instance: %w", err)
	}
	i.said = said
	if in.Concurrency <= 1 {
		i.logs.show(in.Lines)
	}
	source := in.Code
	if in.Binary {
		source = nil
	}
	a, err := i.exchange(ctx, in.Deadline, frameInit, source)
	if err != nil {
		return i.failure()
	}
	reply := i.reply(a)
	if !reply.OK {
		reply.Logs = i.logs.take()
	} else if in.Concurrency > 1 {
		i.shared = newSharedWire(i)
	}
	return reply, nil
}

// prepare sets the limits, unpacks an archive and composes what we say at Init.
func (i *instance) prepare(in *runtime.Init) (said []byte, err error) {
	i.logs.setLimit(in.LogLimit)
	if err := i.limitMemory(in.MemoryMB); err != nil {
		return nil, err
	}
	say := struct {
		Main string            `json:"main,omitempty"`
		Dir  string            `json:"dir,omitempty"`
		Env  map[string]string `json:"env"`
	}{Main: in.Main, Env: map[string]string{"__OW_ALLOW_CONCURRENT": fmt.Sprint(in.Concurrency > 1)}}
	for name, value := range in.Env {
		say.Env[name] = value
	}
	if in.Binary {
		if i.code, err = i.l.codes.acquire(in.CodeID, in.Code); err != nil {
			return nil, err
		}
		say.Dir = i.l.layers.seen(i.l.codes.dir, codeRoot) + "/" + i.code.name
	}
	return json.Marshal(say)
}

// limitMemory holds the instance to so much memory: by its cgroup, else each of
// its processes by a limit on writable private memory.
func (i *instance) limitMemory(mb int) error {
	if mb <= 0 {
		return nil
	}
	bytes := uint64(mb) << 20
	if i.group != nil && i.group.limitsMemory() {
		return i.group.setMemory(bytes)
	}
	return unix.Prlimit(i.pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: bytes, Max: bytes}, nil)
}

// Run implements runtime.Instance.
func (i *instance) Run(ctx context.Context, in *runtime.Run) (*runtime.Reply, error) {
	var a answer
	var err error
	if i.shared != nil {
		a, err = i.shared.run(ctx, in)
	} else {
		i.turn.Lock()
		defer i.turn.Unlock()
		i.logs.show(in.Lines)
		i.said = appendRun(i.said[:0], in)
		a, err = i.exchange(ctx, in.Deadline, frameRun, in.Args)
	}
	if err != nil {
		return i.failure()
	}
	reply := i.reply(a)
	reply.Logs = i.logs.take()
	return reply, nil
}

func (i *instance) reply(a answer) *runtime.Reply {
	return &runtime.Reply{OK: a.Type == frameOK, Body: a.Body, Truncated: len(a.Body) < a.Size, Size: a.Size}
}

// failed is the reply {"error": text} to an Init that did not come to pass.
func failed(text string) *runtime.Reply {
	body, err := json.Marshal(map[string]string{"error": text})
	if err != nil {
		panic(err) // a string always encodes
	}
	return &runtime.Reply{Body: body, Size: len(body)}
}
