package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// workDir is a launcher's own folder, run-* in Config.Dir. A lock on it is held
// while the launcher lives, so that the next one can tell what was left behind by
// one whose process was killed.
type workDir struct {
	path  string
	root  string // an empty folder, on which instances build their root
	code  string // unpacked archives
	homes string // /tmp of instances that have none of their own
	lock  *os.File
	// probes is the file that keeps what interpreters there are, for the next
	// start; empty if nothing is kept.
	probes string
	temp   string // Config.Dir made by us, to be removed
}

const runPrefix = "run-"

func openWorkDir(in string) (*workDir, error) {
	w := &workDir{}
	if in == "" {
		dir, err := os.MkdirTemp("", "millrace-runtime-")
		if err != nil {
			return nil, err
		}
		in, w.temp = dir, dir
	}
	in, err := filepath.Abs(in)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(in, 0o755); err != nil {
		return nil, err
	}
	// One start at a time, or one would take another's new folder for abandoned.
	gate, err := lockDir(in, 0)
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	removeAbandoned(in)
	if w.temp == "" {
		w.probes = filepath.Join(in, "interpreters.json")
	}
	if w.path, err = os.MkdirTemp(in, runPrefix); err != nil {
		return nil, err
	}
	if err := w.fill(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *workDir) fill() (err error) {
	w.root, w.code, w.homes = filepath.Join(w.path, "root"), filepath.Join(w.path, "code"), filepath.Join(w.path, "homes")
	// Instances may pass through, not look around: names in code are secret.
	for dir, mode := range map[string]os.FileMode{w.path: 0o711, w.root: 0o711, w.code: 0o311, w.homes: 0o711} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
	}
	for _, name := range launcherOf {
		text, err := launchers.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(w.path, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	w.lock, err = lockDir(w.path, unix.LOCK_NB)
	return err
}

// lockDir locks a folder by a file in it; with LOCK_NB it is an error if it is
// locked already.
func lockDir(dir string, how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|how); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return f, nil
}

// removeAbandoned removes the folders of launchers that are no more. Their
// processes have died with them.
func removeAbandoned(in string) {
	dirs, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, d := range dirs {
		if !strings.HasPrefix(d.Name(), runPrefix) {
			continue
		}
		dir := filepath.Join(in, d.Name())
		if lock, err := lockDir(dir, unix.LOCK_NB); err == nil {
			_ = removeTree(dir) // the next start tries again
			lock.Close()
		}
	}
}

// removeTree removes a folder; that of code must be made readable first.
func removeTree(dir string) error {
	code := filepath.Join(dir, "code")
	if err := os.Chmod(code, 0o700); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.RemoveAll(dir)
}

func (w *workDir) close() error {
	err := removeTree(w.path)
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	if w.temp != "" {
		err = errors.Join(err, os.RemoveAll(w.temp))
	}
	return err
}
