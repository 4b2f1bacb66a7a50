package pebbledb

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

func TestAfter(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "a": "b", "a\xff": "b", "a\xff\xff": "b", "ab": "ac", "\xff\xff": "", "a\x00": "a\x01"} {
		if got := After([]byte(prefix)); string(got) != want || (got == nil) != (want == "") {
			t.Errorf("After(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func TestFormat(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		db, err := Open(dir, Options{Format: "one 1"})
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	_, err := Open(dir, Options{Format: "one 2"})
	if err == nil || !strings.Contains(err.Error(), `has format "one 1", this version reads "one 2"`) {
		t.Errorf("opening another format: %v", err)
	}
	db, err := Open(dir, Options{Format: "one 1"}) // the refusal has left no lock
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
}

// TestFatal: Pebble tells its logger that the log could not be written and then
// answers success; Commit must not.
func TestFatal(t *testing.T) {
	db, err := Open(t.TempDir(), Options{Format: "one 1"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	set := func() error {
		b := db.NewBatch()
		if err := b.Set([]byte("key"), nil, nil); err != nil {
			t.Fatal(err)
		}
		return db.Commit(b, true)
	}
	if err := set(); err != nil {
		t.Fatal(err)
	}
	var log pebble.Logger = db.logger
	log.Fatalf("no space on %s", "disk")
	for range 2 {
		if err := set(); err == nil || err.Error() != "no space on disk" {
			t.Errorf("committing afterwards: %v", err)
		}
	}
}
