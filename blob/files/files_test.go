package files_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"millrace/blob"
	"millrace/blob/blobtest"
	"millrace/blob/files"
	"millrace/internal/crashtest"
)

func TestMain(m *testing.M) {
	crashtest.Main(putForever)
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) blob.Store {
	s, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	d, err := open(t, dir).Put(t.Context(), []byte("code"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, dir).Get(t.Context(), d); err != nil || string(got) != "code" {
		t.Errorf("after reopening: %q, %v", got, err)
	}
}

func TestDamagedBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d, err := s.Put(t.Context(), []byte("code"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, string(d[:2]), string(d))
	for _, content := range []string{"edoc", "", "code and more"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), d)
		if err == nil || errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), path+" is damaged") {
			t.Errorf("Get of a damaged blob: %v", err)
		}
		if _, err := s.Put(t.Context(), []byte("code")); err != nil {
			t.Error(err)
		}
		if got, err := s.Get(t.Context(), d); err != nil || string(got) != "code" {
			t.Errorf("after putting it again: %q, %v", got, err)
		}
	}
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{"README", "ab/README", "tmp/123"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Walk(t.Context(), func(d blob.Digest) error { return fmt.Errorf("%s is no blob", d) })
	if err != nil {
		t.Error(err)
	}
	open(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*")); len(left) > 0 {
		t.Errorf("left after opening: %v", left)
	}
}

func putForever(dir string, _ int, ack func(string)) {
	s, err := files.Open(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				data := make([]byte, rand.IntN(200_000))
				for i := 0; i < len(data); i += 100 {
					data[i] = byte(rand.Uint32())
				}
				d, err := s.Put(context.Background(), data)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				ack(string(d))
			}
		})
	}
	wg.Wait()
}

func TestKill(t *testing.T) {
	crashtest.Rounds(t, 12, 60, func(dir string, _ int, lines []string) {
		s := open(t, dir)
		for _, line := range lines {
			if _, err := s.Get(t.Context(), blob.Digest(line)); err != nil {
				t.Errorf("%s was acknowledged: %v", line, err)
			}
		}
		// What was not acknowledged is there whole or not at all.
		err := s.Walk(t.Context(), func(d blob.Digest) error {
			_, err := s.Get(t.Context(), d)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
