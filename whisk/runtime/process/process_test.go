package process

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/whisk/runtime"
	"millrace/whisk/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	Main()
	if dir := os.Getenv(platformDir); dir != "" {
		bePlatform(dir)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// knownProbes is what the first launcher learns of the interpreters here, so that
// the others need not run them all again.
var knownProbes = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "millrace-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "known")
	findInterpreters(nil, file)
	return os.ReadFile(file)
})

// newLauncher answers a launcher that is closed when the test ends.
func newLauncher(t testing.TB, cfg Config) *Launcher {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	known, err := knownProbes()
	if err == nil {
		err = os.WriteFile(filepath.Join(cfg.Dir, "interpreters.json"), known, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the launcher: %v", err)
		}
	})
	return l
}

// launch starts an instance that is closed when the test ends.
func launch(t testing.TB, l *Launcher, kind string) runtime.Instance {
	t.Helper()
	i, err := l.Launch(context.Background(), kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("closing an instance: %v", err)
		}
	})
	return i
}

// action answers an instance with code in it.
func action(t testing.TB, l *Launcher, kind, code string, with ...func(*runtime.Init)) runtime.Instance {
	t.Helper()
	i := launch(t, l, kind)
	in := &runtime.Init{
		Action: "/guest/test", Version: "0.0.1", Namespace: "guest", Code: []byte(code),
		MemoryMB: 256, Concurrency: 1, LogLimit: 1 << 20, Deadline: time.Now().Add(20 * time.Second),
	}
	for _, w := range with {
		w(in)
	}
	reply, err := i.Init(context.Background(), in)
	if err != nil || !reply.OK {
		t.Fatalf("initialising: %v, %+v", err, reply)
	}
	return i
}

func call(i runtime.Instance, args string) (*runtime.Reply, error) {
	return i.Run(context.Background(), &runtime.Run{
		ActivationID: "0123456789abcdef0123456789abcdef", TransactionID: "tid", Namespace: "guest",
		Action: "/guest/test", Version: "0.0.1", Deadline: time.Now().Add(20 * time.Second), Args: json.RawMessage(args),
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	runtimetest.Run(t, func(t *testing.T) runtime.Launcher { return newLauncher(t, Config{}) })
}

// nodeOnly has the Node kinds of a launcher: without a sandbox, one family is
// enough to show the rest.
type nodeOnly struct{ *Launcher }

func (l nodeOnly) Kinds() []runtime.Kind {
	return slices.DeleteFunc(slices.Clone(l.Launcher.Kinds()), func(k runtime.Kind) bool { return k.Family != "nodejs" })
}

func TestConformanceWithoutIsolation(t *testing.T) {
	t.Parallel()
	runtimetest.Run(t, func(t *testing.T) runtime.Launcher { return nodeOnly{newLauncher(t, Config{Isolation: IsolationOff})} })
}
