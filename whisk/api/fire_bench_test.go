package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	activationdisk "millrace/activation/disk"
	blobmem "millrace/blob/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/runtimetest"

	storemem "millrace/store/mem"
)

// stuck launches nothing before the test ends, so that what is accepted waits.
type stuck struct{ *runtimetest.InProcess }

func (s stuck) Launch(ctx context.Context, _ string) (runtime.Instance, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// queueOnly is an API whose accepted calls are kept on disk and wait. It has a
// trigger with ten rules, for ten actions.
func queueOnly(b *testing.B) *API {
	log, err := activationdisk.Open(b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	launcher := stuck{runtimetest.NewInProcess(nil)}
	a, _ := newAPI(b, func(c *Config) {
		blobs := blobmem.New()
		if c.Catalog, err = catalog.Open(b.Context(), c.Log, storemem.New(), blobs); err != nil {
			b.Fatal(err)
		}
		c.Manifest = manifestOf(b, launcher.Kinds())
		guest := identity("guest", GuestKey)
		guest.Limits = whisk.NamespaceLimits{InvocationsPerMinute: 1 << 30, ConcurrentInvocations: 1 << 30, FiresPerMinute: 1 << 30}
		c.Identities = directory(b, guest)
		c.Activations = log
		invoker, err := invoke.New(invoke.Config{
			Log: slog.New(slog.DiscardHandler), Launchers: []runtime.Launcher{launcher}, Blobs: blobs, Activations: log, Actions: c.Catalog,
		})
		if err != nil {
			b.Fatal(err)
		}
		c.Invoker = invoker
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- invoker.Run(ctx) }()
		b.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
			if err := log.Close(); err != nil {
				b.Error(err)
			}
		})
	})
	putTenRules(b, a.Catalog)
	return a
}

func putTenRules(b *testing.B, c *catalog.Catalog) {
	greeting := whisk.KeyValues{{Key: "greeting", Value: json.RawMessage(`"hello"`)}}
	t, err := c.PutTrigger(b.Context(), &whisk.Trigger{Namespace: "guest", Name: "t", Version: "0.0.1", Parameters: greeting})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 10 {
		name := whisk.FullName{Namespace: "guest", Name: fmt.Sprint("a", i)}
		limits := whisk.DefaultSystemLimits()
		act := &whisk.Action{
			Namespace: name.Namespace, Name: name.Name, Version: "0.0.1", Parameters: greeting, Limits: limits.Defaults(),
			Exec:        whisk.Exec{Kind: "go:test"},
			Annotations: whisk.KeyValues{{Key: "provide-api-key", Value: json.RawMessage("false")}, {Key: "exec", Value: json.RawMessage(`"go:test"`)}},
		}
		if _, err := c.PutAction(b.Context(), act, []byte("code")); err != nil {
			b.Fatal(err)
		}
		rule := &whisk.Rule{Namespace: "guest", Name: fmt.Sprint("r", i), Trigger: whisk.FullName{Namespace: "guest", Name: "t"}, TriggerID: t.ID, Action: name, Active: true}
		if _, err := c.PutRule(b.Context(), rule); err != nil {
			b.Fatal(err)
		}
	}
}

// mostFires is how many times ten calls fit into the queue of a namespace.
const mostFires = 15_000

// BenchmarkFireTenRules: accepting ten calls and the trigger's record in one
// synced write, with other firings going on. The calls themselves wait.
func BenchmarkFireTenRules(b *testing.B) {
	payload := json.RawMessage(`{"name":"somebody","n":17}`)
	guest := &whisk.Identity{Namespace: "guest", Subject: "guest", Limits: whisk.NamespaceLimits{InvocationsPerMinute: 1 << 30, ConcurrentInvocations: 1 << 30, FiresPerMinute: 1 << 30}}
	a := queueOnly(b)
	var fires atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if fires.Add(1) > mostFires {
				continue
			}
			if _, err := a.FireLocal(b.Context(), guest, whisk.FullName{Namespace: "guest", Name: "t"}, payload); err != nil {
				b.Error(err)
			}
		}
	})
}
