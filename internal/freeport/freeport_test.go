package freeport

import (
	"net"
	"testing"
)

func TestTake(t *testing.T) {
	seen := map[int]bool{}
	for range 3 * block {
		port := Take(t)
		if port < first || port >= 32768 || seen[port] {
			t.Fatalf("port %d, after %v", port, seen)
		}
		seen[port] = true
	}
	l, err := net.Listen("tcp", Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
}

// A port where somebody listens is passed over.
func TestTakeBesideOthers(t *testing.T) {
	next := Take(t) + 1
	l, err := net.Listen("tcp", address(next))
	if err != nil {
		t.Skipf("somebody listens there already: %v", err)
	}
	defer l.Close()
	if got := Take(t); got == next {
		t.Errorf("port %d is taken", got)
	}
}
