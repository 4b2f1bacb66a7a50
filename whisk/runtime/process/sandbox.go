package process

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandboxName is argv[0] of a process that is to become an instance.
const sandboxName = "millrace-instance"

// goAhead is written to such a process once it is in its cgroup.
const goAhead = 'g'

// Where things are in an own root.
const (
	launcherRoot = "/launcher"
	codeRoot     = "/code"
	modulesRoot  = "/node_modules"
)

// The layers of isolation. Those that a sandbox sets up itself are its steps.
const (
	layerUser      = "user namespace"
	layerPID       = "pid namespace"
	layerMount     = "mount namespace"
	layerIPC       = "ipc namespace"
	layerUTS       = "uts namespace"
	layerCgroupNS  = "cgroup namespace"
	layerNetwork   = "network namespace"
	layerMemory    = "cgroup memory limit"
	layerPIDs      = "cgroup process limit"
	layerLimits    = "resource limits"
	layerRoot      = "own root"
	layerProc      = "own /proc"
	layerLandlock  = "landlock"
	layerNoCaps    = "no capabilities"
	layerOwnID     = "own user id"
	layerNoNewPriv = "no new privileges"
	layerSeccomp   = "seccomp"
)

// blueprint says how a process makes itself a sandbox and what it becomes.
type blueprint struct {
	// Trial carries out the steps, reports each one that failed, and exits.
	Trial bool
	// Steps are the names of those to carry out; none may fail.
	Steps []string
	// Base is an empty folder to build the own root on. Root: there is one.
	Base string
	Root bool
	// Roots are folders beyond the system's that the interpreter needs; Code and
	// Modules are seen as codeRoot and modulesRoot; Home is what it may write to
	// where it has no /tmp of its own.
	Roots               []string
	Code, Modules, Home string
	Launcher            string
	TmpMB               int
	// MaxProcesses is set where no cgroup holds the number down.
	MaxProcesses int
	// ID is the user and group to become, 0 to stay; HostID is the same user as
	// the host sees it.
	ID, HostID int
	Args       []string
	Env        []string `json:"-"` // the process has it already
}

// step is one measure; its layer is the one that it is part of.
type step struct {
	layer string
	do    func(*blueprint) error
}

// steps are in the order in which each still may do what it needs.
var steps = [...]step{
	{layerLimits, setLimits},
	{layerRoot, mountRoot},
	{layerProc, mountProc},
	{layerRoot, enterRoot},
	{layerLandlock, restrictPaths},
	{layerNoCaps, dropBounding},
	{layerOwnID, becomeID},
	{layerNoCaps, dropCapabilities},
	{layerNoNewPriv, setNoNewPrivs},
	{layerSeccomp, loadFilter},
}

// Main turns this process into an instance and does not return, if it was started
// to be one. A program that uses this package calls it before anything else.
func Main() {
	if len(os.Args) != 2 || os.Args[0] != sandboxName {
		return
	}
	// What is done to one thread only must be done to that which becomes the
	// interpreter.
	runtime.LockOSThread()
	report(frameRefused, []byte(becomeInstance(os.Args[1]).Error()))
	os.Exit(1)
}

// report writes an answer frame on the wire.
func report(t frameType, body []byte) {
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	frame = append(frame, byte(t), 0, 0, 0, 0)
	// Nobody is left to hear of an error.
	_, _ = syscall.Write(4, append(frame, body...))
}

// becomeInstance answers only if something went wrong.
func becomeInstance(text string) error {
	var b blueprint
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return err
	}
	var word [1]byte
	if n, err := syscall.Read(3, word[:]); err != nil || n != 1 {
		return errors.New("no word from the platform")
	}
	syscall.Umask(0o022)
	if b.Trial {
		return try(&b)
	}
	for _, s := range steps {
		if !slices.Contains(b.Steps, s.layer) {
			continue
		}
		if err := s.do(&b); err != nil {
			return fmt.Errorf("%s: %w", s.layer, err)
		}
	}
	// A change of user has cleared it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	return fmt.Errorf("running %s: %w", b.Args[0], syscall.Exec(b.Args[0], b.Args, os.Environ()))
}

// try carries out all steps and reports the errors by layer.
func try(b *blueprint) error {
	failed := map[string]string{}
	for _, s := range steps {
		if !slices.Contains(b.Steps, s.layer) || failed[s.layer] != "" {
			continue
		}
		if err := s.do(b); err != nil {
			failed[s.layer] = err.Error()
		}
	}
	body, err := json.Marshal(failed)
	if err != nil {
		return err
	}
	report(frameReady, body)
	os.Exit(0)
	return nil
}

// maxFiles is how many files a process may have open: the 1024 of OpenWhisk's
// containers, and what Node.js itself holds beyond what it holds there.
const maxFiles = 1024 + 16

// setLimits holds every process of the instance down, and makes them the first to
// go when the machine runs out of memory.
func setLimits(b *blueprint) error {
	limits := map[int]uint64{
		unix.RLIMIT_NOFILE:  maxFiles,
		unix.RLIMIT_CORE:    0,
		unix.RLIMIT_FSIZE:   1 << 30,
		unix.RLIMIT_MEMLOCK: 64 << 10,
	}
	if b.MaxProcesses > 0 {
		limits[unix.RLIMIT_NPROC] = uint64(b.MaxProcesses)
	}
	for resource, n := range limits {
		// By the syscall package, which else would restore the old number of files.
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
}

// dropBounding makes it impossible to gain a capability by running a program.
func dropBounding(*blueprint) error {
	for c := uintptr(0); c <= 63; c++ {
		switch err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err {
		case nil:
		case unix.EINVAL: // past the last one
			return nil
		default:
			return err
		}
	}
	return nil
}

// becomeID leaves the user that built the sandbox.
func becomeID(b *blueprint) error {
	if b.ID == 0 {
		return nil
	}
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(b.ID), syscall.Setuid(b.ID))
}

func dropCapabilities(*blueprint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

func setNoNewPrivs(*blueprint) error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }
