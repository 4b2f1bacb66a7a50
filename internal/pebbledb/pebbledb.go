// Package pebbledb opens Pebble, the embedded key-value engine, as all of the
// product needs it: in little memory, logging through slog, with errors that
// say which folder is meant and what to do. A failure to write the log of the
// engine, which Pebble only reports and then goes on, becomes the error of the
// commit.
package pebbledb

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Sizes that keep an idle process small.
const (
	cacheBytes    = 8 << 20
	memtableBytes = 4 << 20
	openFiles     = 256
)

// DB is an open folder.
type DB struct {
	*pebble.DB
	logger *logger
	lock   *pebble.Lock
}

// Options say what a folder is for.
type Options struct {
	// Format names what the keys and values in the folder mean, such as
	// "store 1". A folder of another format is refused.
	Format string
	// Log receives what goes wrong in the background; nil is slog.Default.
	Log *slog.Logger
	// LargeValues keeps values of some hundred bytes and more in files of their
	// own, so that compacting keys does not copy them: cheaper to write, dearer
	// to read in order.
	LargeValues bool
	// MemtableBytes is how much is collected in memory before it goes to a file,
	// and at most read again at the next start; 0 is 4 MiB. The memory is taken
	// as it is needed.
	MemtableBytes uint64
	// Merger combines values written with Merge, if there are any.
	Merger *pebble.Merger
}

// formatKey holds Options.Format; it sorts before all keys of a user, who
// begins them with a letter.
var formatKey = []byte("\x00format")

// Open opens a folder, which is made if it does not exist.
func Open(dir string, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = memtableBytes
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return nil, lockError(dir, err)
	}
	db := &DB{logger: &logger{log: o.Log.With("folder", dir)}, lock: lock}
	db.DB, err = pebble.Open(dir, db.options(o))
	if err != nil {
		lock.Close()
		return nil, openError(dir, err)
	}
	if err := db.checkFormat(dir, o.Format); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func (db *DB) options(o Options) *pebble.Options {
	po := &pebble.Options{
		CacheSize:             cacheBytes,
		MemTableSize:          o.MemtableBytes,
		MaxOpenFiles:          openFiles,
		L0CompactionThreshold: 8,
		FormatMajorVersion:    pebble.FormatValueSeparation,
		FS:                    breathingFS(runtime.GOMAXPROCS(0)), // without the goroutine that times each file operation
		Lock:                  db.lock,
		Logger:                db.logger,
		Merger:                o.Merger,
		// Reads report damage themselves; Pebble's default would be fatal.
		EventListener: &pebble.EventListener{
			DataCorruption: func(i pebble.DataCorruptionInfo) { db.logger.Errorf("%v", i) },
		},
	}
	if o.LargeValues {
		po.Experimental.ValueSeparationPolicy = separateValues
	}
	for i := range po.Levels {
		po.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return po
}

func separateValues() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled:               true,
		MinimumSize:           256,
		MaxBlobReferenceDepth: 10,
		RewriteMinimumAge:     5 * time.Minute,
		TargetGarbageRatio:    0.5,
	}
}

func lockError(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || err.Error() == "lock held by current process" {
		return fmt.Errorf("data folder %s is in use by another process: stop that one, or choose another folder", dir)
	}
	return fmt.Errorf("locking data folder %s: %w", dir, err)
}

func openError(dir string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("data folder %s is damaged: restore it from a backup, or move it away to begin with an empty one: %w", dir, err)
	}
	return fmt.Errorf("opening data folder %s: %w", dir, err)
}

// checkFormat compares the format noted in the folder, or notes it in a new one.
func (db *DB) checkFormat(dir, format string) error {
	value, closer, err := db.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return db.Set(formatKey, []byte(format), pebble.Sync)
	}
	if err != nil {
		return openError(dir, err)
	}
	defer closer.Close()
	if string(value) != format {
		return fmt.Errorf("data folder %s has format %q, this version reads %q: use the version that wrote it, or choose another folder", dir, value, format)
	}
	return nil
}

// Commit makes a batch durable, or at least visible if sync is false, and
// closes it. After an error nothing more can be written until the folder is
// opened anew.
func (db *DB) Commit(b *pebble.Batch, sync bool) error {
	defer b.Close()
	if err := db.logger.failure(); err != nil {
		return err
	}
	o := pebble.NoSync
	if sync {
		o = pebble.Sync
	}
	if err := b.Commit(o); err != nil {
		return err
	}
	return db.logger.failure()
}

// Sync makes durable what was committed before.
func (db *DB) Sync() error {
	b := db.NewBatch()
	// An empty batch would be passed over; this one only writes to the log.
	if err := b.LogData(nil, nil); err != nil {
		b.Close()
		return err
	}
	return db.Commit(b, true)
}

// Close closes the folder and lets others open it.
func (db *DB) Close() error {
	err := db.DB.Close()
	return errors.Join(err, db.lock.Close())
}

// logger hands Pebble's messages to slog and remembers the fatal one.
type logger struct {
	log   *slog.Logger
	fatal atomic.Pointer[error]
}

// Infof drops the notes about files and compactions.
func (*logger) Infof(string, ...any) {}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Error("data folder: " + fmt.Sprintf(format, args...))
}

// Fatalf may return: every commit asks for failure before it tells success.
func (l *logger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	err := fmt.Errorf(format, args...)
	l.fatal.CompareAndSwap(nil, &err)
}

func (l *logger) failure() error {
	if p := l.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

// After answers the first key after all keys that begin with prefix, nil if
// there is none.
func After(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
