// Package process runs actions in processes of this machine: a Launcher starts
// Node.js and Python interpreters with a small launcher program of ours, each
// shut into namespaces, an own root, seccomp, Landlock and cgroups, and talks to
// them by frames over two inherited pipes.
//
// A program that uses it calls Main first thing in main (tests: in TestMain),
// since an instance begins as another run of the same binary, which builds the
// sandbox and then becomes the interpreter.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"millrace/whisk/runtime"
)

// Values of Config.Isolation.
const (
	IsolationAuto    = "auto"    // every layer that the machine allows
	IsolationRequire = "require" // New fails if one is missing
	IsolationOff     = "off"     // plain child processes
)

// Config says how instances are run. The zero value is ready to use.
type Config struct {
	// Dir is a folder for what instances need while they live; unpacked archives
	// are in it. Several launchers may share it. Empty: a temporary one.
	Dir string
	// Isolation is IsolationAuto (also if empty), IsolationRequire or IsolationOff.
	Isolation string
	// NoNetwork gives every instance a network namespace with nothing in it.
	NoNetwork bool
	// Env is added to the environment of every instance, such as __OW_API_HOST.
	Env map[string]string
	// NodeModules is a folder of modules that Node actions find in addition to
	// their own, such as openwhisk; may be empty.
	NodeModules string
	// Interpreters are paths of node and python programs to use. Empty: those
	// found in PATH (and the versions beside a pyenv shim).
	Interpreters []string
	// MaxReply bounds an answer in bytes: 1 MiB if 0.
	MaxReply int
	// TmpMB bounds the private /tmp of an instance: 64 if 0. What is in it also
	// counts as the action's memory.
	TmpMB int
	// MaxProcesses bounds processes and threads of one instance: 1024 if 0.
	MaxProcesses int
	// MaxUnpacked and MaxEntries bound an archive: its content in bytes (256 MiB
	// if 0) and its number of entries (50,000 if 0).
	MaxUnpacked int64
	MaxEntries  int
	// CodeCache bounds the unpacked archives kept without an instance that uses
	// them, in bytes: 1 GiB if 0.
	CodeCache int64
}

func (c *Config) setDefaults() error {
	switch c.Isolation {
	case "":
		c.Isolation = IsolationAuto
	case IsolationAuto, IsolationRequire, IsolationOff:
	default:
		return fmt.Errorf("isolation %q: must be auto, require or off", c.Isolation)
	}
	setDefault(&c.MaxReply, 1<<20)
	setDefault(&c.TmpMB, 64)
	setDefault(&c.MaxProcesses, 1024)
	setDefault(&c.MaxUnpacked, 256<<20)
	setDefault(&c.MaxEntries, 50_000)
	setDefault(&c.CodeCache, 1<<30)
	return nil
}

func setDefault[T int | int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// launchTime is how long an interpreter may take to be ready.
const launchTime = 20 * time.Second

var (
	// errLauncherClosed is what a closed launcher answers.
	errLauncherClosed = errors.New("the launcher is closed")
	// errClosed ends the calls of an instance that is closed under them.
	errClosed = fmt.Errorf("%w: the platform closed it", runtime.ErrExited)
)

// Launcher starts instances; see New.
type Launcher struct {
	cfg    Config
	kinds  []runtime.Kind
	byKind map[string]*interpreter
	layers layers
	dir    *workDir
	codes  *codeStore
	groups *cgroups // nil without cgroups
	forker *forker
	serial atomic.Uint32 // numbers the instances

	launches  sync.WaitGroup // those under way
	mu        sync.Mutex
	closed    bool
	instances map[*instance]struct{}
	users     map[uint32]string // of initialised instances: whom they serve
}

var _ runtime.Launcher = (*Launcher)(nil)

// New finds the interpreters of this machine and the isolation layers that it
// allows, by a trial, and cleans up after a launcher with the same Dir whose
// process was killed. It answers an error if a layer is missing that
// IsolationRequire asks for. Finding no interpreter is no error: Kinds is empty.
func New(cfg Config) (*Launcher, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	l := &Launcher{cfg: cfg, forker: newForker(), instances: map[*instance]struct{}{}, users: map[uint32]string{}}
	if err := l.open(); err != nil {
		l.Close()
		return nil, fmt.Errorf("preparing the process runtime: %w", err)
	}
	return l, nil
}

func (l *Launcher) open() (err error) {
	if l.dir, err = openWorkDir(l.cfg.Dir); err != nil {
		return err
	}
	l.codes = newCodeStore(l.dir.code, l.cfg)
	found := make(chan []interpreter, 1)
	go func() { found <- findInterpreters(l.cfg.Interpreters, l.dir.probes) }()
	err = l.tryLayers()
	l.kinds, l.byKind = mapKinds(<-found)
	return err
}

// Kinds answers every version name of the families found here, mapped to the
// installed version nearest to it.
func (l *Launcher) Kinds() []runtime.Kind { return l.kinds }

// Layers answers the isolation layers, and for each one missing why.
func (l *Launcher) Layers() []Layer { return l.layers.list }

// SeparateUsers tells whether instances run as users that nothing else on this
// machine runs as, and OwnsUser whether a user is one of those.
func (l *Launcher) SeparateUsers() bool { return l.layers.on[layerOwnID] }

// OwnsUser: see SeparateUsers.
func (l *Launcher) OwnsUser(uid uint32) bool { return uid >= firstID && uid < firstID+countIDs }

// Namespace answers the namespace whose calls the instance of a user serves; empty
// if there is none.
func (l *Launcher) Namespace(uid uint32) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users[uid]
}

// claim notes whom an instance serves before its code runs. Users come round again
// after many launches: two instances that have the same one serve nobody.
func (l *Launcher) claim(i *instance, namespace string) {
	if i.user == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.users[i.user]; taken {
		namespace = ""
	}
	l.users[i.user] = namespace
}

// Launch starts a stem cell.
func (l *Launcher) Launch(ctx context.Context, kind string) (runtime.Instance, error) {
	in := l.byKind[kind]
	if in == nil {
		return nil, fmt.Errorf("launching an instance: nothing here runs kind %q", kind)
	}
	i, err := l.startOne(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("launching an instance of %s: %w", kind, err)
	}
	return i, nil
}

// startOne starts an instance, unless the launcher is closed.
func (l *Launcher) startOne(ctx context.Context, in *interpreter) (*instance, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errLauncherClosed
	}
	l.launches.Add(1)
	l.mu.Unlock()
	defer l.launches.Done()
	return l.start(ctx, in)
}

// Close kills all instances with their descendants and frees what they held.
func (l *Launcher) Close() error {
	l.mu.Lock()
	l.closed = true
	open := make([]*instance, 0, len(l.instances))
	for i := range l.instances {
		open = append(open, i)
	}
	l.mu.Unlock()
	for _, i := range open {
		i.kill(errClosed)
	}
	l.launches.Wait()
	for _, i := range open {
		i.Close()
	}
	l.forker.close()
	var errs []error
	if l.groups != nil {
		errs = append(errs, l.groups.close())
	}
	if l.dir != nil {
		errs = append(errs, l.dir.close())
	}
	return errors.Join(errs...)
}

// add and remove keep the set of living instances.
func (l *Launcher) add(i *instance) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errLauncherClosed
	}
	l.instances[i] = struct{}{}
	return nil
}

func (l *Launcher) remove(i *instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.instances, i)
	delete(l.users, i.user)
}

// environment answers what an interpreter starts with: nothing of ours, since
// that may hold secrets and settings which slow it down.
func (l *Launcher) environment(home, modules string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8"}
	if modules != "" {
		env = append(env, "NODE_PATH="+modules)
	}
	for name, value := range l.cfg.Env {
		env = append(env, name+"="+value)
	}
	sort.Strings(env)
	return env
}

// devNull is opened for each start as an instance's standard input.
func devNull() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_RDONLY, 0) }
