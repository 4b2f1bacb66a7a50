package mem

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"millrace/activation"
	"millrace/whisk"
)

var _ activation.Queue = (*Log)(nil)

// Apply makes a change.
func (l *Log) Apply(ctx context.Context, c activation.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(ctx); err != nil {
		return err
	}
	for _, key := range c.Exhume {
		if l.letters[key] == nil {
			return activation.ErrNotFound
		}
	}
	for _, key := range c.Exhume {
		delete(l.letters, key)
	}
	for i := range c.Bury {
		letter := c.Bury[i]
		letter.Size = int64(len(letter.Call))
		if l.letters == nil {
			l.letters = map[activation.LetterKey]*activation.Letter{}
		}
		l.letters[letter.LetterKey] = &letter
	}
	for _, id := range c.Forget {
		delete(l.accepted, id)
	}
	l.accept(c.Accept)
	for i := range c.Accept {
		old := l.index.Get(c.Accept[i].Namespace, c.Accept[i].ID)
		if old != nil && old.Response.Status == whisk.Running { // it does not run any more
			l.index.Remove([]*whisk.Activation{old})
		}
	}
	for _, rec := range c.Records {
		l.put(rec)
	}
	return nil
}

// EachPending calls fn with the calls accepted and not finished, oldest first.
func (l *Log) EachPending(ctx context.Context, fn func(activation.Accepted) error) error {
	l.mu.RLock()
	if err := l.usable(ctx); err != nil {
		l.mu.RUnlock()
		return err
	}
	bySeq := slices.SortedFunc(maps.Values(l.accepted), func(a, b *accepted) int { return a.seq - b.seq })
	calls := make([]activation.Accepted, len(bySeq))
	for i, a := range bySeq {
		calls[i] = a.Accepted // a copy: Started changes what is kept
	}
	l.mu.RUnlock()
	for _, call := range calls { // fn may use the log
		if err := fn(call); err != nil {
			return err
		}
	}
	return nil
}

// Call answers one accepted call.
func (l *Log) Call(ctx context.Context, id string) (activation.Accepted, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(ctx); err != nil {
		return activation.Accepted{}, err
	}
	call := l.accepted[id]
	if call == nil {
		return activation.Accepted{}, activation.ErrNotFound
	}
	return call.Accepted, nil
}

// Letters calls fn with the dead letters of a namespace, or of all.
func (l *Log) Letters(ctx context.Context, namespace string, fn func(*activation.Letter) bool) error {
	l.mu.RLock()
	if err := l.usable(ctx); err != nil {
		l.mu.RUnlock()
		return err
	}
	var all []*activation.Letter
	for key, letter := range l.letters {
		if namespace == "" || key.Namespace == namespace {
			head := *letter
			head.Call = nil
			all = append(all, &head)
		}
	}
	l.mu.RUnlock()
	slices.SortFunc(all, func(a, b *activation.Letter) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), cmp.Compare(b.At, a.At), strings.Compare(a.ID, b.ID))
	})
	for _, letter := range all {
		if !fn(letter) {
			break
		}
	}
	return nil
}

// Letter answers a whole dead letter.
func (l *Log) Letter(ctx context.Context, key activation.LetterKey) (*activation.Letter, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	letter := l.letters[key]
	if letter == nil {
		return nil, activation.ErrNotFound
	}
	return letter, nil
}
