package metrics

import (
	"math"
	"slices"
	"strings"
	"time"
)

// AppendText appends all families that have series in the text format, by name.
// Series whose time is over are removed.
func (r *Registry) AppendText(dst []byte, now time.Time) []byte {
	r.mu.Lock()
	families := slices.Clone(r.families)
	r.mu.Unlock()
	for _, f := range families {
		dst = f.appendText(dst, now)
	}
	return dst
}

func (f *Family) appendText(dst []byte, now time.Time) []byte {
	start := len(dst)
	dst = append(dst, "# HELP "+f.conf.Name+" "+f.conf.Help+"\n# TYPE "+f.conf.Name+" "+string(f.conf.Kind)+"\n"...)
	head := len(dst)
	if f.conf.Collect != nil {
		f.conf.Collect(func(value float64, labels ...string) {
			dst = f.appendLine(dst, "", string(appendLabels(nil, f.conf.Labels, labels)), value)
		})
	}
	for _, s := range f.living(now) {
		if f.conf.Kind == Histogram {
			dst = f.appendHistogram(dst, s)
			continue
		}
		dst = f.appendLine(dst, "", s.labels, float64(s.value.Load()))
	}
	if len(dst) == head {
		return dst[:start]
	}
	return dst
}

// living answers the series by their labels, without those whose time is over,
// which it removes.
func (f *Family) living(now time.Time) []*Series {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*Series, 0, len(f.series))
	for key, s := range f.series {
		if f.conf.Expire > 0 && s.idle(now) > f.conf.Expire {
			s.gone.Store(true)
			delete(f.series, key)
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Series) int { return strings.Compare(a.key, b.key) })
	return all
}

// idle is for how long the series has not changed, as far as was looked.
func (s *Series) idle(now time.Time) time.Duration {
	total := s.value.Load()
	for i := range s.buckets {
		total += s.buckets[i].Load()
	}
	if total != s.seen {
		s.seen, s.changed = total, now
	}
	return now.Sub(s.changed)
}

func (f *Family) appendLine(dst []byte, suffix, labels string, value float64) []byte {
	dst = append(dst, f.conf.Name...)
	dst = append(dst, suffix...)
	if labels != "" {
		dst = append(dst, '{')
		dst = append(dst, labels...)
		dst = append(dst, '}')
	}
	dst = append(dst, ' ')
	dst = appendNumber(dst, value)
	return append(dst, '\n')
}

// appendHistogram appends the buckets from the first that is not empty on, then
// count and sum.
func (f *Family) appendHistogram(dst []byte, s *Series) []byte {
	total := int64(0)
	labels := s.labels
	if labels != "" {
		labels += ","
	}
	for i := range s.buckets {
		if total += s.buckets[i].Load(); total == 0 && i < len(s.bounds) {
			continue
		}
		bound := math.Inf(1)
		if i < len(s.bounds) {
			bound = s.bounds[i]
		}
		dst = f.appendLine(dst, "_bucket", labels+`le="`+string(appendNumber(nil, bound))+`"`, float64(total))
	}
	dst = f.appendLine(dst, "_count", s.labels, float64(total))
	return f.appendLine(dst, "_sum", s.labels, math.Float64frombits(s.sum.Load()))
}
