package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"millrace/activation"
	"millrace/internal/pebbledb"
	"millrace/whisk"

	"github.com/cockroachdb/pebble/v2"
)

var _ activation.Queue = (*Log)(nil)

// Apply makes a change in one synced batch.
func (l *Log) Apply(ctx context.Context, c activation.Change) error {
	done, err := l.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	if len(c.Exhume) > 0 { // of two that take out the same letter one must lose
		l.exhuming.Lock()
		defer l.exhuming.Unlock()
	}
	b := batch{Batch: l.db.NewBatch(), db: l.db.DB, tally: tally{}}
	forgotten, err := l.change(&b, &c)
	if err != nil {
		b.Close()
		if errors.Is(err, activation.ErrNotFound) {
			return err
		}
		return fmt.Errorf("changing accepted calls: %w", err)
	}
	if err := l.db.Commit(b.Batch, true); err != nil {
		return fmt.Errorf("changing accepted calls: %w", err)
	}
	l.applied(&c, forgotten)
	return nil
}

// change fills a batch and answers the numbers of the calls that it forgets.
func (l *Log) change(b *batch, c *activation.Change) (forgotten map[string]uint64, err error) {
	forgotten, again := map[string]uint64{}, []uint64(nil)
	l.mu.RLock()
	for _, id := range c.Forget {
		forgotten[id] = l.calls[id]
	}
	for i := range c.Accept {
		if seq, ok := l.calls[c.Accept[i].ID]; ok {
			again = append(again, seq)
		}
	}
	l.mu.RUnlock()
	var errs []error
	for _, seq := range forgotten {
		errs = append(errs, b.Delete(callKey(seq), nil), b.Delete(startedKey(seq), nil))
	}
	for _, seq := range again {
		errs = append(errs, b.Delete(startedKey(seq), nil))
	}
	for _, key := range c.Exhume {
		errs = append(errs, l.exhume(b, key))
	}
	for i := range c.Bury {
		errs = append(errs, bury(b, &c.Bury[i]))
	}
	errs = append(errs, b.accept(c.Accept, l.number(c.Accept), c.Records))
	return forgotten, errors.Join(errs...)
}

// applied brings what is in memory in line with what was written.
func (l *Log) applied(c *activation.Change, forgotten map[string]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, seq := range forgotten {
		if l.calls[id] == seq {
			delete(l.calls, id)
		}
	}
	for i := range c.Accept { // it does not run any more
		l.forgetRunning(&whisk.Activation{Namespace: c.Accept[i].Namespace, ID: c.Accept[i].ID})
	}
	for _, rec := range c.Records {
		l.forgetRunning(rec) // it would hide the one on disk
	}
}

// EachPending calls fn with the calls accepted and not finished, oldest first.
func (l *Log) EachPending(ctx context.Context, fn func(activation.Accepted) error) error {
	done, err := l.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	return l.eachCall(func(seq uint64, call activation.Accepted) error {
		l.mu.RLock()
		current := l.calls[call.ID] == seq
		l.mu.RUnlock()
		if !current { // finished meanwhile
			return ctx.Err()
		}
		if err := fn(call); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// Call answers one accepted call.
func (l *Log) Call(ctx context.Context, id string) (activation.Accepted, error) {
	done, err := l.use(ctx)
	if err != nil {
		return activation.Accepted{}, err
	}
	defer done()
	l.mu.RLock()
	seq, ok := l.calls[id]
	l.mu.RUnlock()
	if !ok {
		return activation.Accepted{}, activation.ErrNotFound
	}
	value, err := l.value(callKey(seq))
	if err != nil {
		return activation.Accepted{}, err
	}
	call, err := decodeCall(value)
	if err != nil {
		return call, err
	}
	_, err = l.value(startedKey(seq))
	call.Started = err == nil
	return call, nil
}

// value answers a copy of what is stored under a key, or ErrNotFound.
func (l *Log) value(key []byte) ([]byte, error) {
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, activation.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return bytes.Clone(value), nil
}

// letterKey is where the list of a namespace has a letter, letterCallKey where
// its call is found by its id.
func letterKey(namespace string, at int64, id string) []byte {
	return append(appendTime(appendPart([]byte{letterPrefix}, namespace), at), id...)
}

func letterCallKey(k activation.LetterKey) []byte {
	return append(appendPart([]byte{letterCallPrefix}, k.Namespace), k.ID...)
}

func bury(b *batch, letter *activation.Letter) error {
	head := appendBytes(binary.AppendVarint(nil, int64(len(letter.Call))), letter.About)
	call := append(binary.BigEndian.AppendUint64(nil, uint64(letter.At)), letter.Call...)
	return errors.Join(
		b.Set(letterKey(letter.Namespace, letter.At, letter.ID), head, nil),
		b.Set(letterCallKey(letter.LetterKey), call, nil),
	)
}

func (l *Log) exhume(b *batch, key activation.LetterKey) error {
	value, err := l.value(letterCallKey(key))
	if err != nil {
		return err
	}
	if len(value) < timeLength {
		return errDamaged
	}
	at := int64(binary.BigEndian.Uint64(value))
	return errors.Join(b.Delete(letterKey(key.Namespace, at, key.ID), nil), b.Delete(letterCallKey(key), nil))
}

// Letters calls fn with the dead letters of a namespace, or of all.
func (l *Log) Letters(ctx context.Context, namespace string, fn func(*activation.Letter) bool) error {
	done, err := l.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	prefix := []byte{letterPrefix}
	if namespace != "" {
		prefix = appendPart(prefix, namespace)
	}
	err = pebbledb.Scan(l.db, prefix, pebbledb.After(prefix), func(key, value []byte) error {
		letter, err := decodeLetter(key, value)
		if err != nil {
			return err
		}
		if !fn(letter) {
			return errStopped
		}
		return ctx.Err()
	})
	if errors.Is(err, errStopped) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading dead letters: %w", err)
	}
	return nil
}

// errStopped ends a scan whose caller wants no more.
var errStopped = errors.New("enough")

func decodeLetter(key, value []byte) (*activation.Letter, error) {
	n, size := binary.Uvarint(key[1:])
	rest := key[1+max(size, 0):]
	if size <= 0 || n > uint64(len(rest)) || len(rest)-int(n) < timeLength {
		return nil, errDamaged
	}
	letter := &activation.Letter{}
	letter.Namespace, rest = string(rest[:n]), rest[n:]
	letter.At, letter.ID = startOf(rest), string(rest[timeLength:])
	d := newDecoder(value)
	letter.Size, letter.About = d.varint(), d.bytes()
	if d.bad || len(d.rest) > 0 {
		return nil, errDamaged
	}
	return letter, nil
}

// Letter answers a whole dead letter.
func (l *Log) Letter(ctx context.Context, key activation.LetterKey) (*activation.Letter, error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	call, err := l.value(letterCallKey(key))
	if err != nil {
		return nil, err
	}
	if len(call) < timeLength {
		return nil, errDamaged
	}
	listed := letterKey(key.Namespace, int64(binary.BigEndian.Uint64(call)), key.ID)
	head, err := l.value(listed)
	if err != nil {
		return nil, err
	}
	letter, err := decodeLetter(listed, head)
	if err != nil {
		return nil, err
	}
	letter.Call = call[timeLength:]
	return letter, nil
}
