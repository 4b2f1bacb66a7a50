package artifact

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes a folder with files, and links where content begins with "->".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		target, isLink := strings.CutPrefix(content, "->")
		var err error
		if isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func open(t *testing.T, project, base string) *Folder {
	t.Helper()
	f, err := Open(project, base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestOnlyTheProjectIsRead(t *testing.T) {
	root := tree(t, map[string]string{
		"outside.js": "out", "project/in.js": "in", "project/sub/deep.js": "deep", "project/up": "->../outside.js", "project/around": "->sub/deep.js",
		"project/absolute": "->/etc/passwd", "project/loop": "->loop", "project/folder": "->..",
	})
	f := open(t, filepath.Join(root, "project"), filepath.Join(root, "project", "sub"))
	for name, want := range map[string]string{
		"../in.js": "in", "deep.js": "deep", "../around": "deep", filepath.Join(root, "project/in.js"): "in",
		"../../outside.js": "outside of the project's folder", "/etc/passwd": "outside of the project's folder",
		"../up": "by a symbolic link", "../absolute": "by a symbolic link", "../folder/outside.js": "by a symbolic link",
		"../loop": "reading ../loop", "gone.js": "gone.js does not exist", ".": "is no file",
	} {
		content, err := f.Read(name)
		if got := string(content); err == nil && got != want {
			t.Errorf("%s: %s", name, got)
		} else if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	// Where the file is not in the project's folder its own folder is the bound.
	f = open(t, filepath.Join(root, "project", "sub"), root)
	if content, err := f.Read("project/in.js"); err != nil || string(content) != "in" {
		t.Errorf("%s, %v", content, err)
	}
}

func TestZip(t *testing.T) {
	root := tree(t, map[string]string{
		"a.js": "a", "lib/b.js": "b", "lib/c.md": "c", "node_modules/.bin/run": "->../x/run.js", "node_modules/x/run.js": "run",
		"again": "->.", "linked": "->lib", "broken.md": "->nothing",
	})
	if err := os.Chmod(filepath.Join(root, "a.js"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := open(t, root, root)
	md, err := ParsePattern("**/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := f.Files(".", func(name string) bool { return !md.Match(name) })
	if err != nil {
		t.Fatal(err)
	}
	files.Put("made.json", []byte("{}"))
	first, err := f.Zip(files)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := f.Zip(files); err != nil || !bytes.Equal(first, second) {
		t.Errorf("a second archive differs: %v", err)
	}
	want := map[string]string{
		"a.js": "-rwxr-xr-x a", "lib/b.js": "-rw-r--r-- b", "linked/b.js": "-rw-r--r-- b", "made.json": "-rw-r--r-- {}",
		"node_modules/.bin/run": "-rw-r--r-- run", "node_modules/x/run.js": "-rw-r--r-- run",
	}
	if diff := cmp.Diff(want, unzip(t, first)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func unzip(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, entry := range z.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[entry.Name] = fmt.Sprintf("%s %s", entry.Mode(), content)
	}
	return out
}

func TestTooLarge(t *testing.T) {
	root := tree(t, map[string]string{"big.js": ""})
	if err := os.Truncate(filepath.Join(root, "big.js"), MaxCode+1); err != nil { // takes no room on the disk
		t.Fatal(err)
	}
	if _, err := open(t, root, root).Read("big.js"); err == nil || !strings.Contains(err.Error(), "larger than an action's code may be: 48 MB") {
		t.Errorf("%v", err)
	}
	if _, err := Code("x.zip", make([]byte, MaxCode)); err == nil {
		t.Error("as base64 the code is larger than 48 MB")
	}
}

func TestCode(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"a.js", "text", "text"}, {"a.zip", "text", "dGV4dA=="}, {"a.js", "\xff\xfe", "//4="}, {"dir/a.JAR", "x", "eA=="},
	} {
		if got, err := Code(test.name, []byte(test.content)); err != nil || got != test.want {
			t.Errorf("%s: %s, %v", test.name, got, err)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct{ pattern, matches, others string }{
		{"*.md", "a.md", "b/a.md a.mdx"},
		{"**/*.md", "a.md b/a.md b/c/a.md", "a.js"},
		{"lib", "lib lib/a lib/b/c", "library x/lib"},
		{"./lib/", "lib/a", "x/lib"},
		{"lib/**", "lib/a lib/b/c", "libx/a"},
		{"lib/*", "lib/a lib/b/c", "lib x/lib/a"},
		{"a?.js", "ab.js", "a.js a/.js abc.js"},
		{"[ab].js", "a.js", "c.js"},
		{"[!ab].js", "c.js", "a.js"},
		{"{a,b/c}.js", "a.js b/c.js", "c.js"},
		{"!*.md", "a.md", "a.js"},
		{"a.b+c(d)", "a.b+c(d)", "aXb+c(d)"},
		{"[", "[", "x"},
	} {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		if p.Negative != strings.HasPrefix(test.pattern, "!") {
			t.Errorf("%s: negative is %v", test.pattern, p.Negative)
		}
		for _, name := range strings.Fields(test.matches) {
			if !p.Match(name) {
				t.Errorf("%s does not match %s", test.pattern, name)
			}
		}
		for _, name := range strings.Fields(test.others) {
			if p.Match(name) {
				t.Errorf("%s matches %s", test.pattern, name)
			}
		}
	}
	for _, pattern := range []string{"[b-a]", "{a", "{a,(b}"} {
		if p, err := ParsePattern(pattern); err == nil && p.Match("zzz") {
			t.Errorf("%s matches anything", pattern)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"**/*.md", "{a,b}", "[!a-z]", "!x", "a}b{", "[]]", "{,}"} {
		f.Add(seed, "a/b.md")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if p, err := ParsePattern(pattern); err == nil {
			p.Match(name)
		}
	})
}
