package invoke

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/activation"
	"millrace/activation/activationtest"
	activationdisk "millrace/activation/disk"
	blobmem "millrace/blob/mem"
	"millrace/internal/crashtest"
	"millrace/whisk"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/runtimetest"
)

// site is an invoker on a folder, in a process that may be killed at any moment.
// Its action writes the id that it is given into a file: what an action does to
// the world cannot be undone.
type site struct {
	v    *Invoker
	log  activation.Log
	stop func() error
}

func openSite(dir string) (*site, error) {
	log, err := activationdisk.Open(filepath.Join(dir, "log"), nil)
	if err != nil {
		return nil, err
	}
	marks, err := os.OpenFile(filepath.Join(dir, "marks"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	blobs := blobmem.New()
	for _, name := range []string{"mark", "echo"} {
		if _, err := blobs.Put(context.Background(), []byte(name)); err != nil {
			return nil, err
		}
	}
	launcher := runtimetest.NewInProcess(functions{"echo": echo, "mark": func(args json.RawMessage) (json.RawMessage, error) {
		if _, err := marks.WriteString(string(args) + "\n"); err != nil {
			return nil, err
		}
		time.Sleep(rand.N(3 * time.Millisecond))
		return args, nil
	}})
	s := &stock{actions: map[string]*whisk.Resolved{}}
	s.put(action("mark"))
	s.put(action("echo"))
	v, err := New(Config{
		Log: slog.New(slog.DiscardHandler), Launchers: []runtime.Launcher{launcher}, Blobs: blobs, Activations: log, MemoryMB: 1 << 20,
		Actions: s,
	})
	if err != nil {
		return nil, err
	}
	v.backlog.bounds.heldCallsOfOne = 16 // so that some are parked
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	return &site{v, log, func() error {
		cancel()
		err := <-ended
		for _, close := range []func() error{log.Close, marks.Close} {
			if e := close(); err == nil {
				err = e
			}
		}
		return err
	}}, nil
}

// acceptForever accepts calls, some of them several in one write, some of
// sequences.
func acceptForever(dir string, _ int, ack func(string)) {
	s, err := openSite(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				calls := make([]*Call, 1+rand.IntN(3))
				for i := range calls {
					calls[i] = call(action("mark"), "")
					if rand.IntN(3) == 0 {
						calls[i].Action = sequenceOf("marks", "/guest/echo", "/guest/mark", "/guest/echo")
					}
					calls[i].Blocking = false
					calls[i].Payload = fmt.Appendf(nil, `{"id":"%s"}`, calls[i].ID)
				}
				if err := s.v.AcceptAll(context.Background(), calls); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				for _, c := range calls {
					ack(c.ID)
				}
			}
		})
	}
	wg.Wait()
}

// Whenever the platform is killed: what was accepted has one record afterwards,
// and was done once if that says so, at most once if not.
func TestKill(t *testing.T) {
	crashtest.Rounds(t, 8, 200, func(dir string, _ int, accepted []string) {
		s, err := openSite(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		}()
		eventually(t, "nothing to be pending", func() bool { return len(must(activationtest.Pending(context.Background(), s.log))) == 0 })
		done := marksOf(t, dir)
		for id, n := range done {
			if n > 1 {
				t.Errorf("call %s ran %d times", id, n)
			}
		}
		records := map[string]*whisk.Activation{}
		for _, rec := range must(s.log.List(context.Background(), "guest", activation.Query{})) {
			if records[rec.ID] != nil {
				t.Errorf("call %s has two records", rec.ID)
			}
			records[rec.ID] = rec
		}
		for _, id := range accepted {
			checkOutcome(t, id, records[id], done[id])
		}
	})
}

func checkOutcome(t *testing.T, id string, rec *whisk.Activation, done int) {
	t.Helper()
	switch {
	case rec == nil:
		t.Errorf("call %s has vanished", id)
	case rec.Response.Status == whisk.Success:
		if done != 1 {
			t.Errorf("call %s has succeeded and ran %d times", id, done)
		}
	case rec.Response.Status != whisk.WhiskError || string(rec.Response.Result) != `{"error":"`+msgInterrupted+`"}`:
		t.Errorf("call %s: %v %s", id, rec.Response.Status, rec.Response.Result)
	}
}

// marksOf answers how often each call has run.
func marksOf(t *testing.T, dir string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "marks"))
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var mark struct{ ID string }
		if err := json.Unmarshal([]byte(line), &mark); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		done[mark.ID]++
	}
	return done
}
