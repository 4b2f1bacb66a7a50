package feed_test

import (
	"context"
	"fmt"
	goruntime "runtime"
	"testing"
	"time"

	"millrace/store"
	"millrace/whisk/feed"
)

const manyAlarms = 100_000

// fill stores alarms of every minute, for one trigger each.
func (s *site) fill(n int, cron string) {
	s.t.Helper()
	s.close()
	trigger := s.trigger("t")
	for i := range n {
		value := fmt.Sprintf(`{"namespace":"guest","trigger":"t%d","package":"alarms","feed":"alarm","triggerId":%q,"settings":{"payload":{},"cron":%q},"active":true,"changed":%d}`,
			i, trigger.ID, cron, time.Now().UnixMilli())
		if _, err := s.store.Put(context.Background(), fmt.Sprintf("/whisk/feeds/guest/t%d/alarms", i), []byte(value), store.PutOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// BenchmarkOpen is a start with 100,000 alarms, and what they keep in memory.
func BenchmarkOpen(b *testing.B) {
	s := newSite(b)
	s.fill(manyAlarms, "30 4 1 1 *")
	cfg := s.config()
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	for b.Loop() {
		f, err := feed.Open(context.Background(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		goruntime.GC()
		goruntime.ReadMemStats(&after)
		goruntime.KeepAlive(f)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/manyAlarms, "B/alarm")
}
