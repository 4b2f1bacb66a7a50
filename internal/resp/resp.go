// Package resp finds where the commands and the replies of RESP, Redis's protocol
// (versions 2 and 3), begin and end in streams that arrive in pieces. Of what passes it
// keeps a little at a time, whatever its size.
package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

const (
	// maxHead is how much is kept of a line that says what follows.
	maxHead = 64
	// maxInline bounds a command that is a line of words, as in Redis.
	maxInline = 64 << 10
	// maxElements bounds what a line may announce.
	maxElements = math.MaxInt32
)

var (
	errLine   = errors.New("a line does not end with CR LF")
	errLength = errors.New("a length that is none")
)

// line gathers a line that may come in pieces. What is beyond keep is dropped.
type line struct {
	kept []byte
	size int
	last byte // the one before what comes next
}

// take takes bytes up to the line's end; ended says that it was reached.
func (l *line) take(b []byte, keep int) (n int, ended bool, err error) {
	n = bytes.IndexByte(b, '\n')
	if ended = n >= 0; !ended {
		n = len(b)
	}
	l.kept = append(l.kept, b[:min(n, max(keep-len(l.kept), 0))]...)
	if l.size += n; n > 0 {
		l.last = b[n-1]
	}
	if !ended {
		return n, false, nil
	}
	if l.last != '\r' {
		return n, false, errLine
	}
	if l.size--; len(l.kept) > l.size {
		l.kept = l.kept[:l.size]
	}
	return n + 1, true, nil
}

// reset begins the next line.
func (l *line) reset() { l.kept, l.size, l.last = l.kept[:0], 0, 0 }

// number reads what stands behind the first byte of a line; -1 stands for null.
func (l *line) number() (int64, error) {
	digits := l.kept[1:]
	if string(digits) == "-1" {
		return -1, nil
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' || n > math.MaxInt64/100 {
			return 0, fmt.Errorf("%w: %q", errLength, l.kept)
		}
		n = 10*n + int64(c-'0')
	}
	if len(digits) == 0 || l.size > len(l.kept) {
		return 0, fmt.Errorf("%w: %q", errLength, l.kept)
	}
	return n, nil
}

// elements is number for how many elements follow.
func (l *line) elements() (int64, error) {
	n, err := l.number()
	if err == nil && n > maxElements {
		err = fmt.Errorf("%w: %q", errLength, l.kept)
	}
	return n, err
}

// data counts the bytes of a bulk string and the CR LF behind them.
type data struct {
	left int64 // with the CR LF
	kept []byte
}

// take takes bytes up to the string's end, of which it keeps the first; ended says
// that it was reached.
func (d *data) take(b []byte, keep int) (n int, ended bool, err error) {
	n = int(min(int64(len(b)), d.left))
	text := int(min(int64(n), max(d.left-2, 0)))
	d.kept = append(d.kept, b[:min(text, max(keep-len(d.kept), 0))]...)
	for i := text; i < n; i++ {
		if b[i] != "\n\r"[d.left-int64(i)-1] {
			return i, false, errLine
		}
	}
	d.left -= int64(n)
	return n, d.left == 0, nil
}

// begin begins a string of a size.
func (d *data) begin(size int64) { d.left, d.kept = size+2, d.kept[:0] }
