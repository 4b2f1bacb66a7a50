package resp

import (
	"bytes"
	"errors"
	"fmt"
)

// Argument is a part of a command; the first one, with Index 0, is its name. Text is
// valid until the next call of Scan.
type Argument struct {
	Index, Total int
	Text         []byte // its first bytes, as many as are kept
	Size         int64
}

// Commands reads what a client sends: arrays of strings, or lines of words.
type Commands struct {
	// Keep is how many bytes of an argument are kept, 64 at least.
	Keep int
	// Visit is called for each argument when it has ended.
	Visit func(Argument)

	head   line
	data   data
	size   int64
	index  int
	total  int // 0 between commands
	inside bool
	inline bool
}

var errInline = errors.New("a line that is a command is too long")

// Scan takes bytes up to the end of a command; done says that it was reached, and then
// there may be more of b. After an error nothing can be made of what follows.
func (c *Commands) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) && !done && err == nil {
		var took int
		switch {
		case c.inside:
			took, done, err = c.scanArgument(b[n:])
		case c.total == 0 && c.head.size == 0 && b[n] != '*' || c.inline:
			took, done, err = c.scanInline(b[n:])
		default:
			took, err = c.scanHead(b[n:])
		}
		n += took
	}
	return n, done, err
}

// scanHead reads the line that says how many arguments there are, or how long one is.
func (c *Commands) scanHead(b []byte) (n int, err error) {
	n, ended, err := c.head.take(b, maxHead)
	if err != nil || !ended {
		return n, err
	}
	defer c.head.reset()
	if c.total == 0 {
		count, err := c.head.elements()
		c.index, c.total = 0, int(max(count, 0)) // none is no command, as in Redis
		return n, err
	}
	if len(c.head.kept) == 0 || c.head.kept[0] != '$' {
		return n, fmt.Errorf("an argument begins with %q", c.head.kept)
	}
	if c.size, err = c.head.number(); err == nil && c.size < 0 {
		err = errLength
	}
	c.data.begin(c.size)
	c.inside = true
	return n, err
}

func (c *Commands) scanArgument(b []byte) (n int, done bool, err error) {
	n, ended, err := c.data.take(b, max(c.Keep, maxHead))
	if err != nil || !ended {
		return n, false, err
	}
	c.Visit(Argument{Index: c.index, Total: c.total, Text: c.data.kept, Size: c.size})
	c.inside = false
	if c.index++; c.index < c.total {
		return n, false, nil
	}
	c.total = 0
	return n, true, nil
}

// scanInline reads a command that is a line. An empty one is none. Redis wants no CR
// before its end.
func (c *Commands) scanInline(b []byte) (n int, done bool, err error) {
	n, ended, err := c.head.take(b, maxInline)
	if err != nil { // a bare LF
		n, ended = n+1, true
	}
	if c.head.size > maxInline {
		return n, false, errInline
	}
	if c.inline = !ended; c.inline {
		return n, false, nil
	}
	words := bytes.Fields(c.head.kept)
	for i, w := range words {
		c.Visit(Argument{Index: i, Total: len(words), Text: w[:min(len(w), max(c.Keep, maxHead))], Size: int64(len(w))})
	}
	c.head.reset()
	return n, len(words) > 0, nil
}
