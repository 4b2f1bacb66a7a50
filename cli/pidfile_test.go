package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Commands that look for the server meanwhile do not keep it from starting.
func TestPIDFileOfWhoLooks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pid")
	ctx, stop := context.WithCancel(t.Context())
	var looking, started sync.WaitGroup
	defer looking.Wait()
	defer stop()
	for range 2 {
		started.Add(1)
		looking.Go(func() {
			started.Done()
			for ctx.Err() == nil {
				if _, _, err := runningPID(path); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	started.Wait()
	for range 50 {
		p, err := lockPIDFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lockPIDFile(path); err == nil || !strings.Contains(err.Error(), "a server runs already") {
			t.Fatalf("a second server: %v", err)
		}
		p.file.Close() // it is killed, and leaves the file
	}
}

// A file that was deleted under a server is the next one's, and stays with that.
func TestPIDFileOfTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pid")
	first, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if pid, ready, err := runningPID(path); err != nil || pid != os.Getpid() || ready {
		t.Errorf("while it starts: process %d, ready %v, %v, want %d", pid, ready, err, os.Getpid())
	}
	if err := next.ready(); err != nil {
		t.Fatal(err)
	}
	first.release()
	if pid, ready, err := runningPID(path); err != nil || pid != os.Getpid() || !ready {
		t.Errorf("process %d, ready %v, %v, want %d", pid, ready, err, os.Getpid())
	}
	next.release()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after its server: %v", err)
	}
}

// The process of a server that was killed is gone from the file before the next server
// has its lock, so that nobody takes it for that one's.
func TestPIDFileOfTheKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	looking, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(looking.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	locked := make(chan error, 1)
	go func() {
		p, err := lockPIDFile(path)
		if err == nil {
			p.release()
		}
		locked <- err
	}()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && len(text) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the file still has it")
		}
	}
	looking.Close()
	if err := await(t, locked); err != nil {
		t.Error(err)
	}
}
