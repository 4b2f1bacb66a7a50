// Package reserve keeps what a store held in a file, for a start at which the store
// cannot be reached.
//
// The file is written anew and renamed, so that it is whole or not there. It holds, in
// this order:
//
//	millrace reserve 1          a line: the format and its version
//	{"prefix":…}                a line: the Header, as JSON
//	entries                     in the order of keys, each: length of the key, key,
//	                            length of the value, value, create revision, mod
//	                            revision (numbers are uvarints)
//	0                           the length of no key
//	4 bytes, big-endian         CRC-32C of all before
//
// Values are as the store had them: what is encrypted there is encrypted here.
package reserve

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"millrace/store"
)

const (
	magic      = "millrace reserve "
	version    = "1"
	bufferSize = 64 << 10
	// maxHeader and maxKey are bounds for files that are damaged.
	maxHeader = 64 << 10
	maxKey    = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged says that a file is no whole reserve.
var ErrDamaged = errors.New("the file is damaged")

// Header says whose entries a reserve has.
type Header struct {
	// Prefix is what the store's keys begin with there.
	Prefix string `json:"prefix"`
	// Endpoints are where the store was reached, Cluster is which one it said it is.
	Endpoints []string `json:"endpoints"`
	Cluster   uint64   `json:"cluster,string"`
	// Revision is the store's whose entries these are, Written when that was.
	Revision int64     `json:"revision"`
	Written  time.Time `json:"written"`
}

// Writer writes a reserve; Commit or Abort ends it.
type Writer struct {
	path string
	file *os.File
	w    *bufio.Writer // into sum
	sum  summed
	num  [binary.MaxVarintLen64]byte
}

// Create begins a reserve that takes the place of the file at a path when it is
// committed. Only its owner may read it.
func Create(path string, h Header) (*Writer, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{path: path, file: f, sum: summed{w: f}}
	w.w = bufio.NewWriterSize(&w.sum, bufferSize)
	w.w.WriteString(magic + version + "\n")
	w.w.Write(head)
	w.w.WriteByte('\n')
	return w, nil
}

// summed counts what is written into a checksum, and lets others run in between: a
// reserve can be large and has time.
type summed struct {
	w   io.Writer
	sum uint32
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	runtime.Gosched()
	return n, err
}

func (w *Writer) number(n uint64) { w.w.Write(w.num[:binary.PutUvarint(w.num[:], n)]) }

// Add adds an entry; its key comes after those before.
func (w *Writer) Add(e *store.Entry) { w.add([]byte(e.Key), e.Value, e.CreateRevision, e.ModRevision) }

// add does not answer errors, which the buffer keeps for Commit.
func (w *Writer) add(key, value []byte, created, modified int64) {
	w.number(uint64(len(key)))
	w.w.Write(key)
	w.number(uint64(len(value)))
	w.w.Write(value)
	w.number(uint64(created))
	w.number(uint64(modified))
}

// Commit puts the reserve in its place once it is safe on the disk.
func (w *Writer) Commit() error {
	w.number(0)
	err := w.w.Flush()
	if err == nil {
		_, err = w.file.Write(binary.BigEndian.AppendUint32(nil, w.sum.sum))
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		w.Abort()
		return fmt.Errorf("writing %s: %w", w.path, err)
	}
	return errors.Join(w.file.Close(), syncDir(filepath.Dir(w.path)))
}

// Abort leaves the file as it was.
func (w *Writer) Abort() {
	w.file.Close()
	os.Remove(w.file.Name())
}

// syncDir makes a renaming in a folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadHeader answers whose entries a reserve has, and does not look at them.
func ReadHeader(path string) (Header, error) {
	r, err := open(path)
	if err != nil {
		return Header{}, err
	}
	return r.header, r.Close()
}

// Read answers the entries of a reserve. A file that is not whole is refused with
// ErrDamaged.
func Read(path string) (Header, []store.Entry, error) {
	r, err := open(path)
	if err != nil {
		return Header{}, nil, err
	}
	defer r.Close()
	var entries []store.Entry
	for r.next() {
		entries = append(entries, r.entry())
	}
	return r.header, entries, r.err
}

// Check reads a reserve to its end and answers its header, with the entry that was
// written last; that is empty if there is no entry.
func Check(path string) (h Header, newest store.Entry, err error) {
	r, err := open(path)
	if err != nil {
		return Header{}, store.Entry{}, err
	}
	defer r.Close()
	for r.next() {
		if r.modified > newest.ModRevision {
			newest = r.entry()
		}
	}
	return r.header, newest, r.err
}

// Update writes the reserve at a path anew: h in the place of its header, and its
// entries with some changes, by their keys.
func Update(path string, h Header, changes map[string]store.Event) error {
	r, err := open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := Create(path, h)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(changes))
	put := func(n int) { // the changes of the first n keys
		for _, key := range keys[:n] {
			if e := changes[key]; !e.Deleted {
				w.Add(&e.Entry)
			}
		}
		keys = keys[n:]
	}
	for r.next() {
		n, replaced := slices.BinarySearch(keys, string(r.key))
		if put(n); replaced {
			put(1)
			continue
		}
		w.add(r.key, r.value, r.created, r.modified)
	}
	if r.err != nil {
		w.Abort()
		return r.err
	}
	put(len(keys))
	return w.Commit()
}
