package process

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"millrace/whisk/runtime"
)

var benchKinds = []struct{ kind, code string }{
	{"nodejs:20", `function main(a) { return {ready: true} }`},
	{"python:3.10", "def main(a):\n    return {'ready': True}\n"},
}

func BenchmarkWarm(b *testing.B) {
	l := newLauncher(b, Config{})
	for _, k := range benchKinds {
		for _, concurrency := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/concurrency=%d", k.kind, concurrency), func(b *testing.B) {
				needKind(b, l, k.kind)
				i := action(b, l, k.kind, k.code, func(in *runtime.Init) { in.Concurrency = concurrency })
				in := &runtime.Run{
					ActivationID: "0123456789abcdef0123456789abcdef", TransactionID: "tid", Namespace: "guest", Action: "/guest/test",
					Version: "0.0.1", Deadline: time.Now().Add(time.Hour), Args: json.RawMessage(`{"a":1}`),
				}
				b.ReportAllocs()
				b.ResetTimer()
				b.SetParallelism(4)
				if concurrency == 1 {
					for b.Loop() {
						runOnce(b, i, in)
					}
					return
				}
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						runOnce(b, i, in)
					}
				})
			})
		}
	}
}

func runOnce(b *testing.B, i runtime.Instance, in *runtime.Run) {
	reply, err := i.Run(context.Background(), in)
	if err != nil || !reply.OK {
		b.Fatalf("%v, %+v", err, reply)
	}
}

// BenchmarkCold measures Init and the first call: from a stem cell, and with the
// launch from nothing. The median is p50-ms.
func BenchmarkCold(b *testing.B) {
	for _, isolation := range []string{IsolationAuto, IsolationOff} {
		l := newLauncher(b, Config{Isolation: isolation})
		for _, k := range benchKinds {
			for _, from := range []string{"stem", "nothing"} {
				b.Run(fmt.Sprintf("%s/%s/isolation=%s", k.kind, from, isolation), func(b *testing.B) {
					needKind(b, l, k.kind)
					var times []time.Duration
					for b.Loop() {
						times = append(times, coldStart(b, l, k.kind, k.code, from == "stem"))
					}
					slices.Sort(times)
					b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
				})
			}
		}
	}
}

func coldStart(b *testing.B, l *Launcher, kind, code string, stem bool) time.Duration {
	start := time.Now()
	i, err := l.Launch(context.Background(), kind)
	if err != nil {
		b.Fatal(err)
	}
	defer i.Close()
	if stem {
		time.Sleep(20 * time.Millisecond) // what it does after it said that it is ready
		start = time.Now()
	}
	reply, err := i.Init(context.Background(), &runtime.Init{Code: []byte(code), MemoryMB: 256, Concurrency: 1, LogLimit: 1 << 20, Deadline: start.Add(time.Minute)})
	if err != nil || !reply.OK {
		b.Fatalf("%v, %+v", err, reply)
	}
	if reply, err = call(i, `{"a":1}`); err != nil || !reply.OK {
		b.Fatalf("%v, %+v", err, reply)
	}
	return time.Since(start)
}
