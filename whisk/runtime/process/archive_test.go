package process

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/whisk/runtime"
)

// entry is a file of a test's archive, or a link if target is set.
type entry struct{ name, content, target string }

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644)
		content := e.content
		if e.target != "" {
			h.SetMode(fs.ModeSymlink | 0o777)
			content = e.target
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	w := tar.NewWriter(gz)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content))}
		if e.target != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.target, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// zipHeaders is a zip of nothing but its directory, which has n entries and says
// that it has none.
func zipHeaders(n int) []byte {
	data := []byte("PK\x03\x04")
	for range n {
		data = append(data, "PK\x01\x02"...)
		data = append(data, make([]byte, 46-4)...)
	}
	data = append(data, "PK\x05\x06"...)
	return append(data, make([]byte, 22-4)...)
}

func TestArchives(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	returns := func(text string) string { return `exports.main = () => ({a: '` + text + `'})` }
	for _, c := range []struct {
		name, kind, main string
		entries          []entry
		want             string
	}{
		{"index.js", "nodejs:20", "", []entry{{name: "index.js", content: returns("x")}}, `{"a":"x"}`},
		{"package.json", "nodejs:20", "", []entry{{name: "package.json", content: `{"main":"lib/a.js"}`}, {name: "lib/a.js", content: returns("y")}}, `{"a":"y"}`},
		{"file.fn", "nodejs:20", "other.go", []entry{{name: "other.js", content: `exports.go = () => ({a: 1})`}}, `{"a":1}`},
		{"file.a.b", "nodejs:20", "other.a.b", []entry{{name: "other.js", content: `exports.a = {b: () => ({a: 2})}`}}, `{"a":2}`},
		{"node_modules", "nodejs:20", "", []entry{{name: "index.js", content: `exports.main = () => require('m')`}, {name: "node_modules/m/index.js", content: `module.exports = {m: 1}`}}, `{"m":1}`},
		{"working folder", "nodejs:20", "", []entry{{name: "index.js", content: `exports.main = () => ({a: require('fs').readFileSync('data.txt', 'utf8')})`}, {name: "data.txt", content: "d"}}, `{"a":"d"}`},
		{"link", "nodejs:20", "", []entry{{name: "lib/x.js", content: returns("l")}, {name: "index.js", target: "lib/x.js"}}, `{"a":"l"}`},
		{"ES module", "nodejs:20", "", []entry{{name: "package.json", content: `{"type":"module","main":"index.js"}`}, {name: "index.js", content: `export function main(a) { return {esm: true} }`}}, `{"esm":true}`},
		{"python", "python:3.10", "", []entry{{name: "__main__.py", content: "import helper\ndef main(a):\n  return {'a': helper.x, 'd': open('data.txt').read()}\n"}, {name: "helper.py", content: "x = 7\n"}, {name: "data.txt", content: "d"}}, `{"a":7,"d":"d"}`},
		{"virtualenv", "python:3.10", "", []entry{
			{name: "__main__.py", content: "import extra\ndef main(a):\n  return {'a': extra.x}\n"},
			{name: "virtualenv/bin/activate_this.py", content: "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))\n"},
			{name: "virtualenv/lib/extra.py", content: "x = 8\n"}}, `{"a":8}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			needKind(t, l, c.kind)
			for _, code := range [][]byte{zipOf(t, c.entries...), tarOf(t, c.entries...)} {
				i := action(t, l, c.kind, string(code), func(in *runtime.Init) { in.Binary, in.Main = true, c.main })
				reply, err := call(i, `{}`)
				if err != nil || string(reply.Body) != c.want {
					t.Errorf("%v: %s, want %s; %q", err, reply.Body, c.want, reply.Logs)
				}
			}
		})
	}
}

func TestBadArchives(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{MaxUnpacked: 1 << 20, MaxEntries: 50})
	many := make([]entry, 60)
	for n := range many {
		many[n].name = "d/" + strings.Repeat("x", n+1)
	}
	const prefix = "Initialization has failed due to: There was an error uncompressing the action archive. "
	for _, c := range []struct {
		name, kind string
		code       []byte
		want       string
	}{
		{"no archive", "nodejs:20", []byte("abcd"), prefix + "The file type is unsupported"},
		{"damaged", "nodejs:20", []byte("PK\x03\x04 and no more"), prefix + "zip: not a valid zip file"},
		{"climbs", "nodejs:20", zipOf(t, entry{name: "../x"}), prefix + `"../x" leads out of it`},
		{"climbs within", "nodejs:20", tarOf(t, entry{name: "a/../../x"}), prefix + `"a/../../x" leads out of it`},
		{"absolute", "nodejs:20", zipOf(t, entry{name: "/etc/x"}), prefix + `"/etc/x" leads out of it`},
		{"link out", "nodejs:20", zipOf(t, entry{name: "a/l", target: "../../x"}), prefix + `the link "a/l" leads out of it`},
		{"absolute link", "nodejs:20", tarOf(t, entry{name: "l", target: "/etc"}), prefix + `the link "l" leads out of it`},
		{"bomb", "nodejs:20", zipOf(t, entry{name: "b", content: strings.Repeat("\x00", 8<<20)}), prefix + "Its content is larger than 1048576 bytes"},
		{"many", "nodejs:20", tarOf(t, many...), prefix + "It has more than 50 entries"},
		{"many folders", "nodejs:20", zipOf(t, entry{name: strings.Repeat("d/", 60) + "x"}), prefix + "It has more than 50 entries"},
		{"many headers", "nodejs:20", zipHeaders(60), prefix + "It has more than 50 entries"},
		{"long name", "nodejs:20", tarOf(t, entry{name: strings.Repeat("long", 300)}), prefix + `"longlonglonglonglonglonglonglong"… is a longer name than 1024 bytes`},
		{"no index.js", "nodejs:20", zipOf(t, entry{name: "x.js"}), "Initialization has failed due to: Zipped actions must contain either package.json or index.js at the root."},
		{"no main file", "python:3.10", zipOf(t, entry{name: "x.py"}), "The action failed to generate or locate a binary. See logs for details."},
		{"bad virtualenv", "python:3.10", zipOf(t, entry{name: "__main__.py"}, entry{name: "virtualenv/x"}), "The action failed to generate or locate a binary. See logs for details."},
	} {
		t.Run(c.name, func(t *testing.T) {
			needKind(t, l, c.kind)
			reply, err := launch(t, l, c.kind).Init(context.Background(), &runtime.Init{Code: c.code, Binary: true, LogLimit: 1 << 16})
			if err != nil {
				t.Fatal(err)
			}
			var body struct{ Error string }
			if err := json.Unmarshal(reply.Body, &body); err != nil || reply.OK || body.Error != c.want {
				t.Errorf("%v, OK %v, error %q, want %q", err, reply.OK, body.Error, c.want)
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(l.dir.path), "*", "x"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, written outside: %v", err, left)
	}
}

// The unpacked code is shared, kept for a while, and known to its action only.
func TestCodeStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newCodeStore(dir, Config{CodeCache: 10, MaxUnpacked: 1 << 20, MaxEntries: 10})
	archive := func(content string) []byte { return zipOf(t, entry{name: "index.js", content: content}) }
	first, err := s.acquire("a", archive("12345678"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.acquire("a", nil); again != first {
		t.Errorf("%v, the second user got another copy", err)
	}
	s.release(first)
	s.release(first)
	if again, err := s.acquire("a", nil); again != first {
		t.Errorf("%v, the code was not kept", err)
	}
	s.release(first)
	second, err := s.acquire("b", archive("abcdefgh"))
	if err != nil {
		t.Fatal(err)
	}
	s.release(second)
	if _, err := os.Stat(filepath.Join(dir, first.name)); !os.IsNotExist(err) {
		t.Errorf("%v, the oldest is kept beyond the bound", err)
	}
	if _, err := os.Stat(filepath.Join(dir, second.name, "index.js")); err != nil {
		t.Error(err)
	}
	if _, err := s.acquire("c", []byte("bad")); err == nil {
		t.Error("bad code was unpacked")
	}
	if c, err := s.acquire("c", archive("good")); err != nil || c.users != 1 {
		t.Errorf("%v, code that was bad before is not tried again", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, entry{name: "a/b", content: "x"}, entry{name: "l", target: "a/b"}, entry{name: "../x"}))
	f.Add(tarOf(f, entry{name: "a/b", content: "x"}, entry{name: "l", target: "a/b"}, entry{name: "l/c", content: "y"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		n, _ := unpack(filepath.Join(outer, "code"), data, 1<<20, 100)
		if n > 1<<20 {
			t.Errorf("%d bytes were unpacked", n)
		}
		if in, err := os.ReadDir(outer); err != nil || len(in) != 1 {
			t.Errorf("%v, written outside: %v", err, in)
		}
	})
}

// callUntil carries out a call with so much time.
func callUntil(i runtime.Instance, d time.Duration) (*runtime.Reply, error) {
	return i.Run(context.Background(), &runtime.Run{Deadline: time.Now().Add(d), Args: json.RawMessage(`{}`)})
}
