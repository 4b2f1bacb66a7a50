package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
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
				if _, err := runningPID(path); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	started.Wait()
	for range 3000 {
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
	if err := next.write(); err != nil {
		t.Fatal(err)
	}
	first.release()
	if pid, err := runningPID(path); err != nil || pid != os.Getpid() {
		t.Errorf("process %d, %v, want %d", pid, err, os.Getpid())
	}
	next.release()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after its server: %v", err)
	}
}
