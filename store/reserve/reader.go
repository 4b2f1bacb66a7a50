package reserve

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"millrace/store"
)

// reader reads a reserve entry by entry. What it has read counts only once next has
// answered false without an error: the checksum is at the end.
type reader struct {
	io.Closer
	in     *counted
	header Header
	err    error

	key, value        []byte // until the next call of next
	created, modified int64
}

// counted is a file whose rest and checksum are known.
type counted struct {
	r    *bufio.Reader
	left int64
	sum  uint32
	one  [1]byte // for ReadByte
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.took(p[:n])
	return n, err
}

func (c *counted) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.one[0] = b
		c.took(c.one[:])
	}
	return b, err
}

func (c *counted) took(p []byte) {
	c.left -= int64(len(p))
	c.sum = crc32.Update(c.sum, castagnoli, p)
}

// line reads to the end of a line, which is cut off.
func (c *counted) line() (string, error) {
	var line []byte
	for {
		b, err := c.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b == '\n':
			return string(line), nil
		case len(line) >= maxHeader:
			return "", bufio.ErrTooLong
		}
		line = append(line, b)
	}
}

func open(path string) (*reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		r := &reader{Closer: f, in: &counted{r: bufio.NewReaderSize(f, bufferSize), left: info.Size()}}
		if err = r.readHeader(); err == nil {
			return r, nil
		}
	}
	f.Close()
	return nil, err
}

func (r *reader) readHeader() error {
	first, err := r.in.line()
	of, ours := strings.CutPrefix(first, magic)
	switch {
	case err != nil || !ours:
		return fmt.Errorf("%w: it does not begin as a reserve does", ErrDamaged)
	case of != version:
		return fmt.Errorf("it is of version %q, and this program reads %s", of, version)
	}
	text, err := r.in.line()
	if err == nil {
		err = json.Unmarshal([]byte(text), &r.header)
	}
	if err != nil {
		return fmt.Errorf("%w: its header: %w", ErrDamaged, err)
	}
	return nil
}

// next reads the next entry; false at the end, or with err set.
func (r *reader) next() bool {
	length, ok := r.length(maxKey)
	if !ok || length == 0 {
		if ok {
			r.checkEnd()
		}
		return false
	}
	if r.key, ok = r.bytes(r.key, length); !ok {
		return false
	}
	if length, ok = r.length(r.in.left); !ok {
		return false
	}
	if r.value, ok = r.bytes(r.value, length); !ok {
		return false
	}
	created, ok := r.number()
	if !ok {
		return false
	}
	modified, ok := r.number()
	r.created, r.modified = int64(created), int64(modified)
	return ok
}

// entry is a copy of what next has read.
func (r *reader) entry() store.Entry {
	return store.Entry{Key: string(r.key), Value: bytes.Clone(r.value), CreateRevision: r.created, ModRevision: r.modified}
}

func (r *reader) number() (uint64, bool) {
	n, err := binary.ReadUvarint(r.in)
	return n, r.good(err)
}

// length reads the length of something that is at most so long.
func (r *reader) length(most int64) (int64, bool) {
	n, ok := r.number()
	if ok && n > uint64(min(most, r.in.left)) {
		return 0, r.good(fmt.Errorf("a length of %d", n))
	}
	return int64(n), ok
}

// bytes reads n bytes into what has room for them.
func (r *reader) bytes(room []byte, n int64) ([]byte, bool) {
	if int64(cap(room)) < n {
		room = make([]byte, n)
	}
	room = room[:n]
	_, err := io.ReadFull(r.in, room)
	return room, r.good(err)
}

// good notes what is wrong with the file.
func (r *reader) good(err error) bool {
	if err != nil {
		r.err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err == nil
}

// checkEnd compares the checksum, after which nothing may come.
func (r *reader) checkEnd() {
	want := binary.BigEndian.AppendUint32(nil, r.in.sum)
	if r.in.left != crc32.Size {
		r.good(fmt.Errorf("%d bytes are left", r.in.left))
		return
	}
	if got, err := io.ReadAll(r.in); r.good(err) && !bytes.Equal(got, want) {
		r.good(errors.New("its checksum is wrong"))
	}
}
