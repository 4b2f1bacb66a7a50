package metrics

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	r := &Registry{}
	hits := r.Add(Config{Name: "z_hits", Help: "Hits.", Kind: Counter, Labels: []string{"code", "route"}})
	hits.With("200", `a"b\c`+"\n\xff").Add(2)
	hits.With("200", `a"b\c`+"\n\xff").Add(1)
	hits.With("200", "a").Add(1 << 40)
	lat := r.Add(Config{Name: "latency", Help: "Times.", Kind: Histogram, Labels: []string{"type"}, Buckets: []float64{1, 2.5, 10}})
	lat.With("x").Observe(2)
	lat.With("x").Observe(2.5)
	lat.With("x").Observe(11)
	r.Add(Config{Name: "empty", Help: "Nothing.", Kind: Counter})
	r.Add(Config{Name: "gauge", Help: "Collected.", Kind: Gauge, Labels: []string{"n"}, Collect: func(emit func(float64, ...string)) {
		emit(1.5, "a")
		emit(-3, "b")
	}})
	r.Add(Config{Name: "bare", Help: "Without labels.", Kind: Gauge}).With().Add(7)
	want := `# HELP bare Without labels.
# TYPE bare gauge
bare 7
# HELP gauge Collected.
# TYPE gauge gauge
gauge{n="a"} 1.5
gauge{n="b"} -3
# HELP latency Times.
# TYPE latency histogram
latency_bucket{type="x",le="2.5"} 2
latency_bucket{type="x",le="10"} 2
latency_bucket{type="x",le="+Inf"} 3
latency_count{type="x"} 3
latency_sum{type="x"} 15.5
# HELP z_hits Hits.
# TYPE z_hits counter
z_hits{code="200",route="a"} 1099511627776
z_hits{code="200",route="a\"b\\c\n�"} 3
`
	if diff := cmp.Diff(want, string(r.AppendText(nil, time.Now()))); diff != "" {
		t.Error(diff)
	}
}

func TestBounds(t *testing.T) {
	r := &Registry{}
	f := r.Add(Config{Name: "f", Kind: Counter, Labels: []string{"a"}, Max: 2, Expire: time.Minute})
	a := f.With("a")
	f.With("b").Add(1)
	f.With("c").Add(1)
	if r.Dropped() != 1 {
		t.Errorf("%d dropped", r.Dropped())
	}
	now := time.Now()
	_ = r.AppendText(nil, now)
	a.Add(1)
	_ = r.AppendText(nil, now.Add(40*time.Second))
	want := "# HELP f \n# TYPE f counter\nf{a=\"a\"} 1\n"
	if diff := cmp.Diff(want, string(r.AppendText(nil, now.Add(90*time.Second)))); diff != "" || a.Gone() {
		t.Error(diff, a.Gone())
	}
	_ = r.AppendText(nil, now.Add(3*time.Minute))
	if !a.Gone() {
		t.Error("nothing expired")
	}
	if f.With("a") == a {
		t.Error("an expired series is found")
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := &Registry{}
	c := r.Add(Config{Name: "c", Kind: Counter}).With()
	h := r.Add(Config{Name: "h", Kind: Histogram, Buckets: []float64{1, 2}}).With()
	if n := testing.AllocsPerRun(100, func() { c.Add(1); h.Observe(1.5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrentCounting(t *testing.T) {
	r := &Registry{}
	f := r.Add(Config{Name: "h", Kind: Histogram, Labels: []string{"a"}, Buckets: []float64{1}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				f.With("x").Observe(0.5)
				_ = r.AppendText(nil, time.Now())
			}
		})
	}
	wg.Wait()
	want := "# HELP h \n# TYPE h histogram\nh_bucket{a=\"x\",le=\"1\"} 4000\nh_bucket{a=\"x\",le=\"+Inf\"} 4000\nh_count{a=\"x\"} 4000\nh_sum{a=\"x\"} 2000\n"
	if diff := cmp.Diff(want, string(r.AppendText(nil, time.Now()))); diff != "" {
		t.Error(diff)
	}
}
