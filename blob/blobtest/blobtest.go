// Package blobtest is the conformance test of blob.Store: what holds for one
// engine holds for all.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"millrace/blob"
)

// Run checks an engine. open makes an empty store.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"put and get", testPutGet},
		{"the slices are apart", testOwnership},
		{"missing blobs", testMissing},
		{"delete", testDelete},
		{"walk", testWalk},
		{"the same blob from many goroutines", testConcurrent},
		{"ended context", testContext},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func put(t *testing.T, s blob.Store, data []byte) blob.Digest {
	t.Helper()
	d, err := s.Put(t.Context(), data)
	if err != nil {
		t.Fatalf("Put of %d bytes: %v", len(data), err)
	}
	return d
}

func testPutGet(t *testing.T, s blob.Store) {
	for _, data := range [][]byte{nil, []byte("a"), []byte("function main() {}"), bytes.Repeat([]byte{0, 0xff}, 1<<20)} {
		for range 2 { // putting again is no error
			if d := put(t, s, data); d != blob.Of(data) {
				t.Errorf("digest %s, want %s", d, blob.Of(data))
			}
		}
		got, err := s.Get(t.Context(), blob.Of(data))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("Get answers %d bytes, %v, want %d bytes", len(got), err, len(data))
		}
	}
}

func testOwnership(t *testing.T, s blob.Store) {
	data := []byte("original")
	d := put(t, s, data)
	copy(data, "scribble")
	for range 2 {
		got, err := s.Get(t.Context(), d)
		if err != nil || string(got) != "original" {
			t.Fatalf("Get answers %q, %v", got, err)
		}
		copy(got, "scribble")
	}
}

func testMissing(t *testing.T, s blob.Store) {
	put(t, s, []byte("there"))
	for _, d := range []blob.Digest{
		blob.Of([]byte("not there")), "", "a", "../../etc/passwd", "..", "ab/../../x",
		blob.Digest(bytes.ToUpper([]byte(blob.Of([]byte("there"))))),
		blob.Of([]byte("there")) + "0", "zz" + blob.Of([]byte("there"))[2:],
	} {
		if _, err := s.Get(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Get(%q): %v, want ErrNotFound", d, err)
		}
		if err := s.Delete(t.Context(), d); err != nil {
			t.Errorf("Delete(%q): %v", d, err)
		}
	}
}

func testDelete(t *testing.T, s blob.Store) {
	d, other := put(t, s, []byte("a")), put(t, s, []byte("b"))
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Get after Delete: %v, want ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), other); err != nil {
		t.Errorf("another blob went too: %v", err)
	}
	put(t, s, []byte("a"))
	if _, err := s.Get(t.Context(), d); err != nil {
		t.Errorf("Get of a blob put anew: %v", err)
	}
}

func walk(t *testing.T, s blob.Store) []blob.Digest {
	t.Helper()
	var got []blob.Digest
	err := s.Walk(t.Context(), func(d blob.Digest) error {
		got = append(got, d)
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	slices.Sort(got)
	return got
}

func testWalk(t *testing.T, s blob.Store) {
	if got := walk(t, s); len(got) > 0 {
		t.Errorf("an empty store has %v", got)
	}
	var want []blob.Digest
	for i := range 20 {
		want = append(want, put(t, s, fmt.Appendf(nil, "blob %d", i)))
	}
	slices.Sort(want)
	if got := walk(t, s); !slices.Equal(got, want) {
		t.Errorf("Walk shows %v, want %v", got, want)
	}
	enough, calls := errors.New("enough"), 0
	err := s.Walk(t.Context(), func(blob.Digest) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("Walk went on for %d calls and answered %v", calls, err)
	}
	// A collector deletes while it walks.
	err = s.Walk(t.Context(), func(d blob.Digest) error { return s.Delete(t.Context(), d) })
	if got := walk(t, s); err != nil || len(got) > 0 {
		t.Errorf("after deleting all (%v) there is %v", err, got)
	}
}

func testConcurrent(t *testing.T, s blob.Store) {
	data := bytes.Repeat([]byte("x"), 100_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d, err := s.Put(t.Context(), data)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := s.Get(t.Context(), d); err != nil || !bytes.Equal(got, data) {
				t.Errorf("Get answers %d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if got := walk(t, s); len(got) != 1 {
		t.Errorf("%d blobs, want 1", len(got))
	}
}

func testContext(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	d := put(t, s, []byte("a"))
	cancel()
	_, putErr := s.Put(ctx, []byte("b"))
	_, getErr := s.Get(ctx, d)
	deleteErr := s.Delete(ctx, d)
	walkErr := s.Walk(ctx, func(blob.Digest) error { return nil })
	for op, err := range map[string]error{"Put": putErr, "Get": getErr, "Delete": deleteErr, "Walk": walkErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want context.Canceled", op, err)
		}
	}
	if got := walk(t, s); len(got) != 1 {
		t.Errorf("the store has %v, want only %s", got, d)
	}
}
