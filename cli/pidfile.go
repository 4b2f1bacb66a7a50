package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// pidFile is where a server says which process it is. It holds a lock on the file while
// it lives, so that what one that was killed has left is known for what it is.
type pidFile struct {
	file *os.File
}

// lockPIDFile takes the file, for a server that is about to start.
func lockPIDFile(path string) (*pidFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the pid file: %w", err)
	}
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("opening the pid file: %w; give another with --pid-file", err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
			pid, _, _ := readPID(file)
			file.Close()
			return nil, fmt.Errorf("a server runs already as process %d (%s): stop it with millrace quit, or give this one another --data", pid, path)
		}
		// Under the exclusive lock the file must never have the process of a server that
		// was killed: its number may be another's by now.
		if err := file.Truncate(0); err != nil {
			file.Close()
			return nil, fmt.Errorf("emptying the pid file: %w", err)
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && isAt(file, path) {
			p := &pidFile{file}
			return p, p.write("")
		}
		file.Close() // a command looks at it, as runningPID does, or a server that has just ended has removed it
		time.Sleep(time.Millisecond)
	}
}

// isAt tells whether a file is still the one at its path.
func isAt(file *os.File, path string) bool {
	is, err := file.Stat()
	at, errAt := os.Stat(path)
	return err == nil && errAt == nil && os.SameFile(is, at)
}

// ready says that the server is there.
func (p *pidFile) ready() error { return p.write("\n") }

// write writes which process this is. The line has its end once the server is there.
func (p *pidFile) write(end string) error {
	if _, err := p.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+end), 0); err != nil {
		return fmt.Errorf("writing the pid file: %w", err)
	}
	return nil
}

// answer tells the command reload what came of it.
func (p *pidFile) answer(text string) error {
	path := reloadAnswer(p.file.Name())
	if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// release removes the file, and the last answer, unless another server has one there by
// now.
func (p *pidFile) release() {
	if isAt(p.file, p.file.Name()) {
		os.Remove(reloadAnswer(p.file.Name()))
		os.Remove(p.file.Name())
	}
	p.file.Close()
}

// runningPID is the process of the server that has a pid file, 0 if there is none, and
// whether it is ready: it may still be starting.
func runningPID(path string) (pid int, ready bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("opening the pid file: %w", err)
	}
	defer file.Close()
	if syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil || !isAt(file, path) {
		return 0, false, nil
	}
	return readPID(file)
}

func readPID(file *os.File) (pid int, ready bool, err error) {
	var text [32]byte
	n, _ := file.ReadAt(text[:], 0) // an empty file has an end at once
	line, ready := bytes.CutSuffix(text[:n], []byte("\n"))
	if len(line) == 0 {
		return 0, false, nil
	}
	if pid, err = strconv.Atoi(string(line)); err != nil {
		return 0, false, fmt.Errorf("the pid file %s does not hold a number", file.Name())
	}
	return pid, ready, nil
}
