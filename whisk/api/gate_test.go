package api

import (
	"context"
	"testing"
)

// Few of one namespace are let in, others are not kept out by it, and who gives up
// leaves nothing behind.
func TestGate(t *testing.T) {
	const ofOne, all = 2, 8
	g := newGate(ofOne, all)
	full, cancel := context.WithCancel(t.Context())
	var leave []func()
	enter := func(namespace string) {
		t.Helper()
		out, err := g.enter(t.Context(), namespace)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, out)
	}
	for range ofOne {
		enter("a")
	}
	for range ofOne {
		enter("b")
	}
	cancel()
	if _, err := g.enter(full, "a"); err == nil {
		t.Error("one more is let in")
	}
	for _, namespace := range []string{"c", "c", "d", "d"} {
		enter(namespace)
	}
	if len(leave) != all {
		t.Fatalf("%d are in", len(leave))
	}
	if _, err := g.enter(full, "e"); err == nil {
		t.Error("one more in all is let in")
	}
	for _, out := range leave {
		out()
	}
	if len(g.of) != 0 || len(g.all) != 0 {
		t.Errorf("left behind: %v, %d", g.of, len(g.all))
	}
	enter("a")
	leave[len(leave)-1]()
}
