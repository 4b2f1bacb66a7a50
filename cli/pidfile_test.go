package cli

import (
	"context"
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
