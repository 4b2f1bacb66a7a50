package wsk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

func archived(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, h := range headers {
		content := []byte("content of " + h.Name)
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	t.Chdir(t.TempDir())
	archive := archived(t,
		tar.Header{Name: "dockerSkeleton/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "dockerSkeleton/build.sh", Typeflag: tar.TypeReg, Mode: 0o777},
		tar.Header{Name: "dockerSkeleton/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		tar.Header{Name: "deep/er/file", Typeflag: tar.TypeReg, Mode: 0o644})
	if err := unpack(bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"dockerSkeleton/build.sh": 0o755, "deep/er/file": 0o644} {
		text, err := os.ReadFile(name)
		if err != nil || string(text) != "content of "+name {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := os.Lstat("dockerSkeleton/link"); err == nil {
		t.Error("a link was made")
	}
}

// An archive can neither leave the working directory nor overwrite what is there.
func TestUnpackRefuses(t *testing.T) {
	parent := t.TempDir()
	work := filepath.Join(parent, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(work)
	if err := os.WriteFile("mine", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../out", "/tmp/../out", "a/../../out", "mine"} {
		if err := unpack(bytes.NewReader(archived(t, tar.Header{Name: name, Typeflag: tar.TypeReg}))); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := unpack(bytes.NewReader([]byte("no archive"))); err == nil {
		t.Error("what is no archive was accepted")
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
		t.Errorf("outside the working directory: %v, %v", left, err)
	}
	if text, _ := os.ReadFile("mine"); string(text) != "mine" {
		t.Errorf("overwritten with %q", text)
	}
}
