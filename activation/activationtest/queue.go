package activationtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"millrace/activation"
	"millrace/whisk"
)

// Pending answers the calls of a log that are accepted and not finished, oldest
// first.
func Pending(ctx context.Context, l activation.Log) ([]activation.Accepted, error) {
	var calls []activation.Accepted
	err := l.EachPending(ctx, func(call activation.Accepted) error {
		calls = append(calls, call)
		return nil
	})
	return calls, err
}

func accept(t *testing.T, l activation.Log, numbers ...int) []activation.Accepted {
	t.Helper()
	var calls []activation.Accepted
	for _, n := range numbers {
		calls = append(calls, activation.Accepted{ID: ID(n), Namespace: "guest", Call: []byte("call " + ID(n))})
	}
	if err := l.Apply(t.Context(), activation.Change{Accept: calls}); err != nil {
		t.Fatal(err)
	}
	return calls
}

func pending(t *testing.T, l activation.Log) []activation.Accepted {
	t.Helper()
	calls, err := Pending(t.Context(), l)
	if err != nil {
		t.Fatalf("EachPending: %v", err)
	}
	return calls
}

func apply(t *testing.T, l activation.Log, c activation.Change) {
	t.Helper()
	if err := l.Apply(t.Context(), c); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// testRequeued: a call that is tried again, and then waits for something else.
func testRequeued(t *testing.T, l log) {
	calls := accept(t, l, 1, 2)
	if err := l.Started(ID(1)); err != nil {
		t.Fatal(err)
	}
	l.Put(running(Record("guest", 1, 1000)))
	attempt := Record("guest", 11, 1000)
	calls[0].Call = []byte("second attempt")
	apply(t, l, activation.Change{Accept: calls[:1], Records: []*whisk.Activation{attempt}})
	equal(t, "accepted calls", pending(t, l), calls)
	if _, err := l.Get(t.Context(), "guest", ID(1)); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("the record of a call that waits again: %v", err)
	}
	equal(t, "the attempt", get(t, l, "guest", attempt.ID), attempt)
	if got, err := l.Call(t.Context(), ID(1)); err != nil || string(got.Call) != "second attempt" || got.Started {
		t.Errorf("the call is %+v (%v)", got, err)
	}
	if err := l.Started(ID(1)); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Call(t.Context(), ID(1)); err != nil || !got.Started {
		t.Errorf("the started call is %+v (%v)", got, err)
	}

	final := Record("guest", 1, 2000)
	l.Put(running(final))
	calls[0].Call = []byte("delivery")
	apply(t, l, activation.Change{Accept: calls[:1], Records: []*whisk.Activation{final}})
	l.settle(t)
	equal(t, "the final record", get(t, l, "guest", final.ID), final)
	equal(t, "list", list(t, l, activation.Query{}), strings.Fields("1 b"))
	equal(t, "accepted calls", pending(t, l), calls)

	apply(t, l, activation.Change{Forget: []string{ID(1), ID(77)}})
	equal(t, "accepted calls", pending(t, l), calls[1:])
	if _, err := l.Call(t.Context(), ID(1)); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("a forgotten call: %v", err)
	}
	enough := errors.New("enough")
	if err := l.EachPending(t.Context(), func(activation.Accepted) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("EachPending: %v", err)
	}
}

func letter(namespace string, n int, at int64) activation.Letter {
	return activation.Letter{
		LetterKey: activation.LetterKey{Namespace: namespace, ID: ID(n)}, At: at,
		About: []byte("about " + ID(n)), Call: []byte(strings.Repeat("call", 300)),
	}
}

func letters(t *testing.T, l activation.Log, namespace string) string {
	t.Helper()
	var ids []string
	err := l.Letters(t.Context(), namespace, func(letter *activation.Letter) bool {
		if letter.Call != nil || letter.Size != 1200 || string(letter.About) != "about "+letter.ID {
			t.Errorf("letter in a list: %+v", letter)
		}
		ids = append(ids, letter.Namespace+" "+strings.TrimLeft(letter.ID, "0"))
		return len(ids) < 4
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(ids, ", ")
}

func testLetters(t *testing.T, l log) {
	accept(t, l, 1)
	l.Put(running(Record("guest", 1, 1000)))
	rec := Record("guest", 1, 1000)
	dead := letter("guest", 1, 2000)
	apply(t, l, activation.Change{Forget: []string{ID(1)}, Records: []*whisk.Activation{rec}, Bury: []activation.Letter{dead}})
	l.settle(t)
	equal(t, "record", get(t, l, "guest", rec.ID), rec)
	equal(t, "accepted calls", len(pending(t, l)), 0)
	dead.Size = 1200
	got, err := l.Letter(t.Context(), dead.LetterKey)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "letter", *got, dead)

	apply(t, l, activation.Change{Bury: []activation.Letter{letter("guest", 2, 3000), letter("guest", 3, 1000), letter("gues", 4, 1), letter("h", 5, 1)}})
	equal(t, "letters of guest", letters(t, l, "guest"), "guest 2, guest 1, guest 3")
	equal(t, "letters of none", letters(t, l, "nobody"), "")
	if all := letters(t, l, ""); strings.Count(all, ",") != 3 { // it asked for four
		t.Errorf("letters of all: %s", all)
	}

	again := activation.Accepted{ID: ID(6), Namespace: "guest"}
	redrive := activation.Change{Exhume: []activation.LetterKey{dead.LetterKey}, Accept: []activation.Accepted{again}}
	apply(t, l, redrive)
	equal(t, "accepted calls", pending(t, l), []activation.Accepted{again})
	equal(t, "letters of guest", letters(t, l, "guest"), "guest 2, guest 3")
	redrive.Accept[0].ID = ID(7)
	if err := l.Apply(t.Context(), redrive); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("taking it out twice: %v", err)
	}
	for _, key := range []activation.LetterKey{dead.LetterKey, {Namespace: "h", ID: ID(2)}} {
		if _, err := l.Letter(t.Context(), key); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("Letter of %v: %v", key, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Apply(ended, activation.Change{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply with an ended context: %v", err)
	}
}

func testReopenLetters(t *testing.T, reopen func() activation.Log) {
	l := reopen()
	calls := accept(t, l, 1, 2)
	if err := l.Started(ID(1)); err != nil {
		t.Fatal(err)
	}
	apply(t, l, activation.Change{Accept: calls[:1], Bury: []activation.Letter{letter("guest", 3, 1), letter("guest", 4, 2)}})
	l = reopen()
	equal(t, "accepted calls", pending(t, l), calls)
	equal(t, "letters", letters(t, l, "guest"), "guest 4, guest 3")
}
