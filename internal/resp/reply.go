package resp

import (
	"errors"
	"fmt"
)

// Reply is what is known of a reply that has ended.
type Reply struct {
	// Type is its first byte: + - : $ * and, in version 3, _ , # ! = ( % ~ >.
	Type byte
	// Kind is the beginning of the first of its elements, if that is a string.
	Kind []byte
	// Last is the last number among its elements.
	Last int64
}

// Replies reads what a server sends.
type Replies struct {
	// Reply is the last one that has ended. Its Kind is valid until the next call of
	// Scan.
	Reply Reply

	head   line
	data   data
	left   int64 // elements that have not ended, with those that they have; 0 between replies
	begun  bool  // the reply itself has begun, not only its attributes
	seen   int   // how many lines since, at most 3
	inside bool  // a string
}

// Scan takes bytes up to the end of a reply; done says that it was reached, and then
// there may be more of b. After an error nothing can be made of what follows.
func (r *Replies) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) && !done && err == nil {
		if r.left == 0 {
			r.left, r.begun, r.seen, r.Reply = 1, false, 0, Reply{Kind: r.Reply.Kind[:0]}
		}
		var took int
		if r.inside {
			took, err = r.scanString(b[n:])
		} else {
			took, err = r.scanHead(b[n:])
		}
		n += took
		done = err == nil && r.left == 0
	}
	return n, done, err
}

func (r *Replies) scanString(b []byte) (n int, err error) {
	n, ended, err := r.data.take(b, maxHead)
	if ended && err == nil {
		r.inside = false
		r.left--
		r.note(r.data.kept)
	}
	return n, err
}

// scanHead reads the line that begins an element.
func (r *Replies) scanHead(b []byte) (n int, err error) {
	n, ended, err := r.head.take(b, maxHead)
	if err != nil || !ended {
		return n, err
	}
	defer r.head.reset()
	if len(r.head.kept) == 0 {
		return n, errors.New("a reply begins with an empty line")
	}
	kind := r.head.kept[0]
	if !r.begun && r.left == 1 && kind != '|' {
		r.begun, r.Reply.Type, r.Reply.Last = true, kind, 0
	}
	if r.begun {
		r.seen = min(r.seen+1, 3)
	}
	return n, r.element(kind)
}

// element notes what the line begins.
func (r *Replies) element(kind byte) error {
	switch kind {
	case '+', '-', '_', ',', '#', '(':
		r.left--
		if kind == '+' {
			r.note(r.head.kept[1:])
		}
		return nil
	case ':':
		r.left--
		if n, err := r.head.number(); err == nil { // one below zero is of no interest
			r.Reply.Last = n
		}
		return nil
	case '$', '!', '=':
		size, err := r.head.number()
		if r.inside = size >= 0; !r.inside {
			r.left--
		}
		r.data.begin(size)
		return err
	case '*', '~', '>':
		return r.nested(1, -1)
	case '%':
		return r.nested(2, -1)
	case '|':
		return r.nested(2, 0)
	}
	return fmt.Errorf("a reply begins with %q", kind)
}

// nested adds elements, each of so many parts, in the place of what announced them.
func (r *Replies) nested(parts, itself int64) error {
	n, err := r.head.elements()
	r.left += max(n, 0)*parts + itself
	return err
}

// note keeps the text of the first element.
func (r *Replies) note(text []byte) {
	if r.begun && r.seen == 2 {
		r.Reply.Kind = append(r.Reply.Kind, text...)
	}
}
