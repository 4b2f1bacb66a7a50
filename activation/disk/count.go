package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"millrace/activation"
	"millrace/internal/pebbledb"

	"github.com/cockroachdb/pebble/v2"
)

// Counting reads no records: for each hour and each second in which calls
// started there is a counter, of the namespace and of each name in it. Only
// the seconds that a query cuts are looked through.
var countSpans = [...]int64{60 * minute, 1000} // ms

// counterKey is the key of one span of time. Level is an index of countSpans;
// an empty name stands for all names.
func counterKey(b []byte, namespace, name string, level int, span int64) []byte {
	b = appendPart(appendPart(append(b, countPrefix), namespace), name)
	return binary.BigEndian.AppendUint64(append(b, byte(level)), uint64(span)^1<<63)
}

// counterBounds are the first key of the counters of a level and the one of a
// span, which ends them.
func counterBounds(namespace, name string, level int, end int64) (lower, upper []byte) {
	return counterKey(nil, namespace, name, level, -forever), counterKey(nil, namespace, name, level, end)
}

// spanOf reads the span at the end of a counter's key.
func spanOf(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-8:]) ^ 1<<63)
}

func counter(value []byte) (int64, error) {
	n, size := binary.Varint(value)
	if size <= 0 {
		return 0, fmt.Errorf("counting: %w", errDamaged)
	}
	return n, nil
}

// tally collects the changes of counters in a batch, many of which are the same.
type tally map[tallyKey]int64

type tallyKey struct {
	namespace, name string
	level           int
	span            int64
}

// add counts n records of a name that started at a time.
func (t tally) add(namespace, name string, start, n int64) {
	for level, length := range countSpans {
		span := floorDiv(start, length)
		t[tallyKey{namespace, "", level, span}] += n
		if name != "" {
			t[tallyKey{namespace, name, level, span}] += n
		}
	}
}

// bytesLevel is the level of the counters of bytes in a namespace, by minute.
const (
	bytesLevel = len(countSpans)
	minute     = 60 * 1000 // ms
)

// addBytes counts what a record takes, for Expire. What is deleted is not
// subtracted: the counters of its time go as a whole.
func (t tally) addBytes(namespace string, start, n int64) {
	t[tallyKey{namespace, "", bytesLevel, floorDiv(start, minute)}] += n
}

func (t tally) write(b *pebble.Batch) error {
	var key, value []byte
	for k, n := range t {
		key = counterKey(key[:0], k.namespace, k.name, k.level, k.span)
		value = binary.AppendVarint(value[:0], n)
		if err := b.Merge(key, value, nil); err != nil {
			return err
		}
	}
	return nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// forever bounds times that a query does not bound; far from overflow.
const forever = 1 << 60

// countStored counts the records in r that q selects, its Skip and Limit ignored.
func countStored(r pebble.Reader, namespace string, q activation.Query) (int64, error) {
	from, to := int64(-forever), int64(forever)
	if q.Since > 0 {
		from = q.Since
	}
	if q.Upto > 0 {
		to = q.Upto
	}
	return countSpan(r, namespace, q.Name, from, to, 0)
}

// countSpan counts the starts from one time to another, inclusively, with the
// counters of a level and the finer ones below it at the ends.
func countSpan(r pebble.Reader, namespace, name string, from, to int64, level int) (int64, error) {
	if from > to {
		return 0, nil
	}
	if level == len(countSpans) {
		return countKeys(r, namespace, name, from, to)
	}
	length := countSpans[level]
	first, end := -floorDiv(-from, length), floorDiv(to+1, length) // whole spans inside
	if first >= end {
		return countSpan(r, namespace, name, from, to, level+1)
	}
	n, err := sumCounters(r, counterKey(nil, namespace, name, level, first), counterKey(nil, namespace, name, level, end))
	if err != nil {
		return 0, err
	}
	before, err := countSpan(r, namespace, name, from, first*length-1, level+1)
	if err != nil {
		return 0, err
	}
	after, err := countSpan(r, namespace, name, end*length, to, level+1)
	return n + before + after, err
}

func sumCounters(r pebble.Reader, lower, upper []byte) (int64, error) {
	var sum int64
	err := pebbledb.Scan(r, lower, upper, func(_, value []byte) error {
		n, err := counter(value)
		sum += n
		return err
	})
	return sum, err
}

// countKeys counts by looking through the index.
func countKeys(r pebble.Reader, namespace, name string, from, to int64) (int64, error) {
	lower, upper := timeBounds(listPrefix(namespace, name), from, to)
	var n int64
	err := pebbledb.Scan(r, lower, upper, func(_, _ []byte) error {
		n++
		return nil
	})
	return n, err
}

// countMerger adds up counters.
var countMerger = &pebble.Merger{
	Name: "millrace.count",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		s := &sum{}
		return s, s.MergeNewer(value)
	},
}

// sum is a counter while Pebble reads or compacts it.
type sum struct{ n int64 }

func (s *sum) MergeNewer(value []byte) error {
	n, size := binary.Varint(value)
	if size <= 0 {
		return errors.New("a counter is damaged")
	}
	s.n += n
	return nil
}

func (s *sum) MergeOlder(value []byte) error { return s.MergeNewer(value) }

func (s *sum) Finish(bool) ([]byte, io.Closer, error) {
	return binary.AppendVarint(nil, s.n), nil, nil
}
