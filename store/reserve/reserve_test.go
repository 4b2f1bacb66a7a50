package reserve

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/store"
)

var someHeader = Header{Prefix: "/gw", Endpoints: []string{"http://a:1"}, Cluster: 1<<63 + 5, Revision: 7, Written: time.Unix(1700000000, 0).UTC()}

func write(t testing.TB, path string, h Header, entries ...store.Entry) {
	t.Helper()
	w, err := Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		w.Add(&entries[i])
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func entry(key, value string, revision int64) store.Entry {
	return store.Entry{Key: key, Value: []byte(value), CreateRevision: 1, ModRevision: revision}
}

// What is written is read again, by its owner only.
func TestRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for name, entries := range map[string][]store.Entry{
		"none":                             nil,
		"some":                             {entry("/a", "1", 1), entry("/b", "", 2), entry("/c", "\x00\xff\n", 1<<60)},
		"one that is larger than a buffer": {entry("/a", string(bytes.Repeat([]byte("x"), 3*bufferSize)), 5)},
	} {
		write(t, path, someHeader, entries...)
		h, got, err := Read(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range got {
			got[i].Value = append([]byte{}, got[i].Value...)
		}
		if diff := cmp.Diff(entries, got) + cmp.Diff(someHeader, h); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, _, err := Read(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// An update has the entries of before with the changes, and the new header.
func TestUpdate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for name, c := range map[string]struct{ before, changes, want string }{
		"nothing":      {"b d", "", "b d"},
		"into nothing": {"", "+b +a", "a' b'"},
		"all over":     {"b d f", "+a +c +d -f +g", "a' b c' d' g'"},
		"all gone":     {"b d", "-b -d", ""},
		"not there":    {"b", "-a -c", "b"},
	} {
		var before []store.Entry
		for _, key := range bytes.Fields([]byte(c.before)) {
			before = append(before, entry(string(key), "", 1))
		}
		changes := map[string]store.Event{}
		for _, change := range bytes.Fields([]byte(c.changes)) {
			key := string(change[1:])
			changes[key] = store.Event{Entry: entry(key, "'", 2), Deleted: change[0] == '-'}
		}
		write(t, path, someHeader, before...)
		next := someHeader
		next.Revision = 9
		if err := Update(path, next, changes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		h, got, err := Read(path)
		text := ""
		for _, e := range got {
			text += " " + e.Key + string(e.Value)
		}
		if err != nil || h.Revision != 9 || fmt.Sprint(bytes.TrimSpace([]byte(text))) != fmt.Sprint([]byte(c.want)) {
			t.Errorf("%s: %v %v %q, want %q", name, err, h, text, c.want)
		}
	}
}

// A file in which any byte is another, is missing or comes too much is refused, and
// not changed by an update.
func TestDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, someHeader, entry("/a", "one", 1), entry("/b", "two", 2))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path); err == nil {
			t.Errorf("%s: read", what)
		}
		err := Update(path, someHeader, nil)
		now, _ := os.ReadFile(path)
		if _, left := os.Stat(path + ".new"); err == nil || !bytes.Equal(now, text) || left == nil {
			t.Errorf("%s: updated", what)
		}
	}
	for i := range whole {
		refused(fmt.Sprintf("cut off at %d", i), whole[:i])
		changed := bytes.Clone(whole)
		changed[i] ^= 0x10
		refused(fmt.Sprintf("changed at %d", i), changed)
	}
	refused("longer", append(bytes.Clone(whole), 0))
	refused("of another version", bytes.Replace(whole, []byte("reserve 1"), []byte("reserve 2"), 1))
}

func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "s")
	write(f, path, someHeader, entry("/a", "one", 1))
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, _ = Read(path)
	})
}

func BenchmarkUpdate(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s")
	value := string(bytes.Repeat([]byte("x"), 300))
	entries := make([]store.Entry, 100_000)
	for i := range entries {
		entries[i] = entry(fmt.Sprintf("/apisix/routes/%06d", i), value, int64(i))
	}
	write(b, path, someHeader, entries...)
	b.ReportAllocs()
	for b.Loop() {
		if err := Update(path, someHeader, map[string]store.Event{"/apisix/routes/050000": {Entry: entries[0]}}); err != nil {
			b.Fatal(err)
		}
	}
}
