package disk_test

import (
	"fmt"
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
		rec.ID = fmt.Sprintf("%08x%024x", uint32(i)*2654435761, i) // ids are random
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

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
