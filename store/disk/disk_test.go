package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millrace/store"
	"millrace/store/disk"
	"millrace/store/storetest"
)

func open(t testing.TB, dir string) store.Store {
	s, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store { return open(t, dir) })
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := disk.Open(dir, nil)
	want := "data folder " + dir + " is in use by another process: stop that one, or choose another folder"
	if err == nil || err.Error() != want {
		t.Errorf("opening a folder twice: %v, want %s", err, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	open(t, dir).Close()
}

func TestDamagedFolder(t *testing.T) {
	tests := []struct {
		name, files, says string
		damage            func(path string) error
	}{
		{"the manifest is gone", "MANIFEST-*", "data folder", os.Remove},
		{"the manifest is garbage", "MANIFEST-*", "is damaged: restore it from a backup", scribble},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if _, err := s.Put(t.Context(), "/a", []byte("v"), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			s.Close()
			files, _ := filepath.Glob(filepath.Join(dir, tt.files))
			if len(files) == 0 {
				t.Fatal("nothing to damage")
			}
			for _, f := range files {
				if err := tt.damage(f); err != nil {
					t.Fatal(err)
				}
			}
			s2, err := disk.Open(dir, nil)
			if err == nil {
				s2.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("opening it: %v, want an error that says %q and %s", err, tt.says, dir)
			}
		})
	}
}

func scribble(path string) error {
	return os.WriteFile(path, []byte(strings.Repeat("garbage", 1000)), 0o600)
}

func TestUnusableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(file, nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("opening a file: %v, want an error that names it", err)
	}
}

// BenchmarkPut is synced writes by 16 writers, who share syncs.
func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	value := []byte(strings.Repeat("x", 1000))
	var n atomic.Int64
	b.SetParallelism(8)
	cpu := cpuTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := fmt.Sprintf("/actions/%d", n.Add(1)%10_000)
			if _, err := s.Put(b.Context(), key, value, store.PutOptions{}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(b.N), "cpu-µs/op")
}

func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	for i := range 1000 {
		if _, err := s.Put(b.Context(), fmt.Sprintf("/actions/%d", i), make([]byte, 1000), store.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(b.Context(), fmt.Sprintf("/actions/%d", i%1000)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is opening a folder of a thousand entries, as after a crash.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	for i := range 1000 {
		if _, err := s.Put(b.Context(), fmt.Sprintf("/actions/%d", i), make([]byte, 1000), store.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	for b.Loop() {
		open(b, dir).Close()
	}
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
