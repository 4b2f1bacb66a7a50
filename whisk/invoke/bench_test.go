package invoke

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"time"

	activationmem "millrace/activation/mem"
	blobmem "millrace/blob/mem"
	"millrace/whisk"
	"millrace/whisk/runtime"
)

// instant is a launcher whose instances answer at once: what is left is the
// invoker's own cost.
type instant struct{ done chan struct{} }

var instantReply = []byte(`{"ready":true}`)

func (instant) Kinds() []runtime.Kind {
	return []runtime.Kind{{Name: "go:test", Family: "go", Default: true}}
}

func (i instant) Launch(context.Context, string) (runtime.Instance, error) { return i, nil }

func (instant) Init(context.Context, *runtime.Init) (*runtime.Reply, error) {
	return &runtime.Reply{OK: true}, nil
}

func (instant) Run(context.Context, *runtime.Run) (*runtime.Reply, error) {
	return &runtime.Reply{OK: true, Body: instantReply, Size: len(instantReply)}, nil
}

func (i instant) Done() <-chan struct{} { return i.done }
func (instant) Close() error            { return nil }

// forgetful is an activation log that keeps nothing.
type forgetful struct{ *activationmem.Log }

func (forgetful) Put(*whisk.Activation) {}

func newInstant(tb testing.TB) *Invoker {
	blobs := blobmem.New()
	if _, err := blobs.Put(context.Background(), []byte("echo")); err != nil {
		tb.Fatal(err)
	}
	v, err := New(Config{
		Log: slog.New(slog.DiscardHandler), Launchers: []runtime.Launcher{instant{make(chan struct{})}},
		Blobs: blobs, Activations: forgetful{activationmem.New()}, MemoryMB: 4096,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func warmCall(tb testing.TB, v *Invoker, c *Call) {
	c.ID = NewID()
	if err := v.Admit(c.Caller); err != nil {
		tb.Fatal(err)
	}
	if rec, err := v.Invoke(context.Background(), c); err != nil || rec == nil {
		tb.Fatal(rec, err)
	}
}

func benchCall() *Call {
	a := action("echo")
	a.Parameters = whisk.KeyValues{kv("greeting", `"hello"`)}
	a.Annotations = whisk.KeyValues{kv("provide-api-key", "false")}
	c := call(a, `{"name":"x"}`)
	c.Caller.Limits.InvocationsPerMinute = 1 << 30
	c.Payload, c.Wait = json.RawMessage(`{"name":"x"}`), time.Minute
	return c
}

// BenchmarkWarmCall: throttle, merge, placement, outcome and both records of a
// call on an idle instance, without the instance and the log.
func BenchmarkWarmCall(b *testing.B) {
	v, c := newInstant(b), benchCall()
	warmCall(b, v, c)
	b.ReportAllocs()
	for b.Loop() {
		warmCall(b, v, c)
	}
}

func TestWarmCallAllocations(t *testing.T) {
	v, c := newInstant(t), benchCall()
	warmCall(t, v, c)
	const most = 10
	if got := testing.AllocsPerRun(200, func() { warmCall(t, v, c) }); got > most {
		t.Errorf("%v allocations a call, want at most %d", got, most)
	}
}

// sequenceOfThree is a call of a sequence of three times the action of c.
func sequenceOfThree(v *Invoker, c *Call) *Call {
	s := &stock{actions: map[string]*whisk.Resolved{}}
	s.put(c.Action)
	v.cfg.Actions = s
	path := "/" + c.Action.Path()
	all := *c
	all.Action = sequenceOf("all", path, path, path)
	return &all
}

// BenchmarkWarmSequence: what BenchmarkWarmCall measures, for a sequence of three.
func BenchmarkWarmSequence(b *testing.B) {
	v, c := newInstant(b), benchCall()
	warmCall(b, v, c)
	c = sequenceOfThree(v, c)
	b.ReportAllocs()
	for b.Loop() {
		warmCall(b, v, c)
	}
}

// BenchmarkSequenceOfThree compares sequences of three with single calls, made in
// turn so that both have the same machine: by medians, as the metric "ratio".
func BenchmarkSequenceOfThree(b *testing.B) {
	b.Run("instant", func(b *testing.B) { compareSequence(b, newInstant(b), benchCall()) })
	b.Run("node", func(b *testing.B) {
		v, blobs, kind := nodeHouse(b)
		c := benchCall()
		c.Action = nodeAction(b, blobs, kind, `function main(){return {"ready":true}}`)
		compareSequence(b, v, c)
	})
}

func compareSequence(b *testing.B, v *Invoker, c *Call) {
	calls := []*Call{c, sequenceOfThree(v, c)}
	took := make([][]time.Duration, len(calls))
	warmCall(b, v, c)
	for b.Loop() {
		for i, c := range calls {
			start := time.Now()
			warmCall(b, v, c)
			took[i] = append(took[i], time.Since(start))
		}
	}
	for _, t := range took {
		slices.Sort(t)
	}
	one, three := took[0][len(took[0])/2], took[1][len(took[1])/2]
	b.ReportMetric(float64(one), "ns/call")
	b.ReportMetric(float64(three), "ns/sequence")
	b.ReportMetric(float64(three)/float64(one), "ratio")
}
