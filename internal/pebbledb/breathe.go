package pebbledb

import (
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// breath is how long a table's writer pauses.
const breath = 50 * time.Microsecond

// breathing makes the writing of tables pause briefly again and again. Flushing
// and compacting are long computations; on a machine with few cores each would
// hold a core for the 10 ms that Go's scheduler gives it, time and again, and
// every step of a request would wait behind it. The pause lets all that is ready
// to run go first.
type breathing struct {
	vfs.FS
	piece int // bytes between pauses
}

// breathingFS leaves the fewer pauses the more cores there are: they also bound
// how fast can be written.
func breathingFS(cores int) vfs.FS {
	switch {
	case cores == 1:
		return breathing{vfs.Default, 4 << 10}
	case cores < 4:
		return breathing{vfs.Default, 32 << 10}
	}
	return vfs.Default
}

func (fs breathing) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	switch filepath.Ext(name) {
	case ".sst", ".blob":
		return &breathingFile{File: f, piece: fs.piece}, nil
	}
	return f, nil
}

type breathingFile struct {
	vfs.File
	piece, written int // written: since the last pause
}

func (f *breathingFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.written += n; f.written >= f.piece {
		f.written = 0
		time.Sleep(breath)
	}
	return n, err
}
