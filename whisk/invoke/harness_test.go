package invoke

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/activation"
	activationmem "millrace/activation/mem"
	"millrace/blob"
	blobmem "millrace/blob/mem"
	"millrace/internal/crashtest"
	"millrace/whisk"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/process"
	"millrace/whisk/runtime/runtimetest"
)

// TestMain lets the process launcher start this binary as its sandbox helper.
func TestMain(m *testing.M) {
	process.Main()
	crashtest.Main(acceptForever)
	goleak.VerifyTestMain(m)
}

// functions are the actions of a test: their code is their name.
type functions = map[string]func(json.RawMessage) (json.RawMessage, error)

// house is an invoker with all that it stands on.
type house struct {
	t        *testing.T
	v        *Invoker
	launcher *watchedLauncher
	blobs    blob.Store
	log      activation.Log
	stop     func()
}

// newHouse runs an invoker until the test ends.
func newHouse(t *testing.T, funcs functions, change ...func(*Config)) *house {
	t.Helper()
	h := &house{t: t, launcher: &watchedLauncher{InProcess: runtimetest.NewInProcess(funcs)}, blobs: blobmem.New(), log: activationmem.New()}
	cfg := Config{
		Log: slog.New(slog.DiscardHandler), Launchers: []runtime.Launcher{h.launcher}, Blobs: h.blobs, Activations: h.log,
		MemoryMB: 1 << 20,
	}
	for _, c := range change {
		c(&cfg)
	}
	h.log, h.blobs = cfg.Activations, cfg.Blobs
	for name := range funcs {
		if _, err := h.blobs.Put(context.Background(), []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.v = v
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func anyone(namespace string) *whisk.Identity {
	return &whisk.Identity{
		Subject: namespace + "-subject", Namespace: namespace, UUID: "uuid-" + namespace, Secret: "secret-" + namespace,
		Limits: whisk.NamespaceLimits{InvocationsPerMinute: 1000, ConcurrentInvocations: 1000},
	}
}

// action is an action of guest whose code is the function called name.
func action(name string) *whisk.Action {
	return &whisk.Action{
		Namespace: "guest", Name: name, Version: "0.0.1", Revision: 1,
		Exec:   whisk.Exec{Kind: runtimetest.KindInProcess, Digest: string(blob.Of([]byte(name)))},
		Limits: whisk.Limits{TimeoutMS: 60000, MemoryMB: 256, LogsMB: 10, Concurrency: 1},
	}
}

func call(a *whisk.Action, payload string) *Call {
	return &Call{
		ID: NewID(), TransactionID: "tid", Caller: anyone("guest"), Action: a, Payload: json.RawMessage(payload),
		Blocking: true, Wait: time.Minute,
	}
}

// invoke carries out a blocking call to its end.
func (h *house) invoke(c *Call) *whisk.Activation {
	h.t.Helper()
	rec, err := h.v.Invoke(context.Background(), c)
	if err != nil || rec == nil {
		h.t.Errorf("Invoke: %v, %v", rec, err)
		return &whisk.Activation{}
	}
	return rec
}

// ended polls for the record of an ended call.
func (h *house) ended(namespace, id string) *whisk.Activation {
	h.t.Helper()
	var rec *whisk.Activation
	eventually(h.t, "the record of "+id, func() bool {
		var err error
		rec, err = h.log.Get(context.Background(), namespace, id)
		return err == nil && rec.Response.Status != whisk.Running
	})
	return rec
}

// mustBeRunning: whoever is told an activation id finds a record.
func (h *house) mustBeRunning(id string) {
	h.t.Helper()
	rec, err := h.log.Get(context.Background(), "guest", id)
	if err != nil || rec.Response.Status != whisk.Running {
		h.t.Errorf("record of a call that was just accepted: %v, %v", rec, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: waited in vain", what)
		}
	}
}

// watchedLauncher is the in-process launcher that a test can look into.
type watchedLauncher struct {
	*runtimetest.InProcess
	mu        sync.Mutex
	instances []*watched
	inits     []*runtime.Init
	runs      []*runtime.Run
}

// watched is one of its instances.
type watched struct {
	runtime.Instance
	l *watchedLauncher
	// unreached makes the next Run fail as if the wire had broken before.
	unreached atomic.Bool
	inited    atomic.Bool
}

func (l *watchedLauncher) Launch(ctx context.Context, kind string) (runtime.Instance, error) {
	inst, err := l.InProcess.Launch(ctx, kind)
	if err != nil {
		return nil, err
	}
	w := &watched{Instance: inst, l: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.instances = append(l.instances, w)
	return w, nil
}

func (w *watched) Init(ctx context.Context, in *runtime.Init) (*runtime.Reply, error) {
	w.l.mu.Lock()
	w.l.inits = append(w.l.inits, in)
	w.inited.Store(true)
	w.l.mu.Unlock()
	return w.Instance.Init(ctx, in)
}

func (w *watched) Run(ctx context.Context, in *runtime.Run) (*runtime.Reply, error) {
	if w.unreached.CompareAndSwap(true, false) {
		return nil, runtime.ErrUnreached
	}
	w.l.mu.Lock()
	w.l.runs = append(w.l.runs, in)
	w.l.mu.Unlock()
	return w.Instance.Run(ctx, in)
}

// initCount is how often an instance was initialised.
func (h *house) initCount() int {
	h.launcher.mu.Lock()
	defer h.launcher.mu.Unlock()
	return len(h.launcher.inits)
}

// echo answers its arguments.
func echo(args json.RawMessage) (json.RawMessage, error) { return args, nil }
