// Package metrics keeps counters, gauges and histograms with labels, and writes
// them in Prometheus's text format. It is for the path of requests: whoever counts
// finds the series of some label values once and keeps it, and counting in it is
// a few atomic additions.
package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Registry is the metrics of a process.
type Registry struct {
	// dropped counts what was not counted because a family was full.
	dropped atomic.Int64

	mu       sync.Mutex
	families []*Family // by name
}

// Dropped is how many series were asked for and not made.
func (r *Registry) Dropped() int64 { return r.dropped.Load() }

// Kind is what a family's series are.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Config describes a family of series.
type Config struct {
	Name, Help string
	Kind       Kind
	Labels     []string
	// Buckets are the upper bounds of a histogram, ascending.
	Buckets []float64
	// Max bounds the number of series; 0 stands for 10,000.
	Max int
	// Expire removes series that have not changed for so long; 0 keeps them.
	Expire time.Duration
	// Collect, if set, is called when the metrics are written: it answers the
	// series of the family by calling emit.
	Collect func(emit func(value float64, labels ...string))
}

// Family is the series of one name.
type Family struct {
	conf Config
	r    *Registry

	mu     sync.RWMutex
	series map[string]*Series
	lost   Series // where what does not fit is counted, never shown
}

// Series is one line of a family, or one histogram. The zero value counts what
// nobody sees.
type Series struct {
	labels  string // as written, without braces
	key     string
	value   atomic.Int64
	buckets []atomic.Int64 // the last is +Inf
	bounds  []float64
	sum     atomic.Uint64 // bits of a float64
	gone    atomic.Bool

	seen    int64 // the value at the last writing
	changed time.Time
}

// Add makes a family.
func (r *Registry) Add(c Config) *Family {
	if c.Max == 0 {
		c.Max = 10_000
	}
	f := &Family{conf: c, r: r, series: map[string]*Series{}}
	f.lost.shape(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	i, _ := slices.BinarySearchFunc(r.families, c.Name, func(f *Family, name string) int {
		return strings.Compare(f.conf.Name, name)
	})
	r.families = slices.Insert(r.families, i, f)
	return f
}

func (s *Series) shape(c Config) {
	if c.Kind == Histogram {
		s.bounds, s.buckets = c.Buckets, make([]atomic.Int64, len(c.Buckets)+1)
	}
}

// With finds the series of some label values, in the order of Config.Labels, and
// makes it if need be. A family that is full answers a series that is not shown.
func (f *Family) With(values ...string) *Series {
	key := strings.Join(values, "\xff")
	f.mu.RLock()
	s := f.series[key]
	f.mu.RUnlock()
	if s != nil {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s = f.series[key]; s != nil {
		return s
	}
	if len(f.series) >= f.conf.Max {
		f.r.dropped.Add(1)
		return &f.lost
	}
	s = &Series{labels: string(appendLabels(nil, f.conf.Labels, values)), key: key, changed: time.Now()}
	s.shape(f.conf)
	f.series[key] = s
	return s
}

// Labels are the names of the labels; the slice must not be changed.
func (f *Family) Labels() []string { return f.conf.Labels }

// Gone tells that the series expired: what counts has to find it anew.
func (s *Series) Gone() bool { return s.gone.Load() }

// Add adds to a counter or gauge.
func (s *Series) Add(n int64) { s.value.Add(n) }

// Value is that of a counter or gauge.
func (s *Series) Value() int64 { return s.value.Load() }

// Observe enters a value into a histogram.
func (s *Series) Observe(v float64) {
	i := 0
	for i < len(s.bounds) && v > s.bounds[i] {
		i++
	}
	s.buckets[i].Add(1)
	for {
		old := s.sum.Load()
		if s.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

func appendLabels(dst []byte, names, values []string) []byte {
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		value := ""
		if i < len(values) {
			value = values[i]
		}
		dst = append(dst, name...)
		dst = append(dst, '=', '"')
		dst = appendEscaped(dst, value)
		dst = append(dst, '"')
	}
	return dst
}

// appendEscaped escapes a label's value; bytes that are no UTF-8 become U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	for _, r := range s {
		switch r {
		case '\\':
			dst = append(dst, `\\`...)
		case '"':
			dst = append(dst, `\"`...)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = append(dst, string(r)...)
		}
	}
	return dst
}

func appendNumber(dst []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', 14, 64)
}
