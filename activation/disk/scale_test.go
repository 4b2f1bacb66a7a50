package disk_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"millrace/activation"
	"millrace/activation/activationtest"
	"millrace/whisk"
)

var scale = flag.Int("records", 100_000, "the largest log that BenchmarkScale fills")

// BenchmarkScale shows how reading grows with the number of records of one
// namespace, from 10,000 to -records: 20,000 calls a second of 100 actions.
func BenchmarkScale(b *testing.B) {
	l := open(b, b.TempDir())
	defer l.Close()
	const rate = 20 // a millisecond
	filled := 0
	for n := 10_000; n <= *scale; n *= 10 {
		began := time.Now()
		for ; filled < n; filled++ {
			l.Put(scaleRecord(filled, int64(1_700_000_000_000+filled/rate)))
		}
		if err := l.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Logf("%d records after another %v", n, time.Since(began))
		end := int64(1_700_000_000_000 + n/rate)
		for _, q := range []struct {
			name string
			q    activation.Query
		}{
			{"newest 30", activation.Query{Limit: 30}},
			{"newest 200", activation.Query{Limit: 200}},
			{"newest 30 of a name", activation.Query{Name: "action7", Limit: 30}},
			{"30 from the middle", activation.Query{Upto: end - int64(n/rate/2), Limit: 30}},
		} {
			b.Run(fmt.Sprintf("records=%d/list %s", n, q.name), func(b *testing.B) {
				for b.Loop() {
					if recs, err := l.List(b.Context(), "guest", q.q); err != nil || len(recs) != q.q.Limit {
						b.Fatal(len(recs), err)
					}
				}
			})
		}
		for _, q := range []struct {
			name string
			q    activation.Query
			want int
		}{
			{"all", activation.Query{}, n},
			{"of a name", activation.Query{Name: "action7"}, n / 100},
			{"half", activation.Query{Upto: end - int64(n/rate/2) - 1}, n / 2},
		} {
			b.Run(fmt.Sprintf("records=%d/count %s", n, q.name), func(b *testing.B) {
				for b.Loop() {
					if got, err := l.Count(b.Context(), "guest", q.q); err != nil || got != q.want {
						b.Fatal(got, q.want, err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("records=%d/get", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Get(b.Context(), "guest", activationtest.ID(rand.IntN(n))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	began := time.Now()
	last := time.UnixMilli(1_700_000_000_000 + int64(filled/rate))
	n, err := l.Expire(b.Context(), last.Add(time.Hour), func(string) activation.Retention { return activation.Retention{MaxAge: time.Minute} })
	b.Logf("%d expired in %v (%v)", n, time.Since(began), err)
}

func scaleRecord(n int, start int64) *whisk.Activation {
	rec := activationtest.Record("guest", n, start)
	rec.Name = fmt.Sprintf("action%d", n%100)
	rec.Annotations = rec.Annotations[1:] // the name is its path
	rec.Response.Result = []byte(`{"ok":true}`)
	rec.Logs = nil
	return rec
}
