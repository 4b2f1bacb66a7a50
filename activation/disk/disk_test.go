package disk_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millrace/activation"
	"millrace/activation/activationtest"
	"millrace/activation/disk"
	"millrace/whisk"
)

func open(t testing.TB, dir string) activation.Log {
	l, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLog(t *testing.T) {
	activationtest.RunDurable(t, func(t *testing.T, dir string) activation.Log { return open(t, dir) })
}

// BenchmarkPut is what one call costs: its running record and its final one,
// with all of the writing in the background.
func BenchmarkPut(b *testing.B) {
	l := open(b, b.TempDir())
	defer l.Close()
	recs := make([]*whisk.Activation, 1000)
	for i := range recs {
		recs[i] = activationtest.Record("guest", i, 0)
	}
	var front time.Duration
	cpu := cpuTime()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		rec := *recs[i%len(recs)]
		rec.ID = fmt.Sprintf("%012x%08x%012x", 1_700_000_000_000+i/20, uint32(i)*2654435761, i) // the time, and random
		rec.Start = int64(1_700_000_000_000 + i/20)
		running := rec
		running.Response.Status = whisk.Running
		begin := time.Now()
		l.Put(&running)
		l.Put(&rec)
		front += time.Since(begin)
	}
	if err := l.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(front)/float64(b.N), "put-ns/op")
}

// filled opens a folder with n records in it, two a millisecond.
func filled(b *testing.B, dir string, n int) activation.Log {
	l := open(b, dir)
	for i := range n {
		rec := activationtest.Record("guest", 0, int64(1_700_000_000_000+i/2))
		rec.ID = fmt.Sprintf("%08x%024x", uint32(i)*2654435761, i)
		l.Put(rec)
	}
	if err := l.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	return l
}

// BenchmarkOpen is opening a folder whose last records are not in tables yet.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	filled(b, dir, 20_000).Close()
	for b.Loop() {
		open(b, dir).Close()
	}
}

func BenchmarkRead(b *testing.B) {
	l := filled(b, b.TempDir(), 100_000)
	defer l.Close()
	for name, q := range map[string]activation.Query{
		"newest 30": {Limit: 30}, "newest 30 by name": {Name: "hello", Limit: 30}, "after 10000": {Skip: 10_000, Limit: 30},
	} {
		b.Run("list "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := l.List(b.Context(), "guest", q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Count(b.Context(), "guest", activation.Query{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAccept is accepted calls of 16 callers, who share syncs.
func BenchmarkAccept(b *testing.B) {
	l := open(b, b.TempDir())
	defer l.Close()
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call := activation.Accepted{ID: activationtest.ID(int(n.Add(1))), Namespace: "guest", Call: make([]byte, 500)}
			if err := l.Apply(b.Context(), activation.Change{Accept: []activation.Accepted{call}}); err != nil {
				b.Error(err)
			}
		}
	})
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
