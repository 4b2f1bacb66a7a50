package disk_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"millrace/internal/crashtest"
	"millrace/store"
	"millrace/store/disk"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	crashtest.Main(writeForever)
	goleak.VerifyTestMain(m)
}

const crashWriters = 8

// writeForever has each writer put keys with rising numbers and delete the one
// three before.
func writeForever(dir string, round int, ack func(string)) {
	s, err := disk.Open(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := crashKey(round, w, i)
				e, err := s.Put(ctx, key, []byte(key), store.PutOptions{If: store.Absent})
				if err != nil {
					ack(fmt.Sprintf("failed %s 0 %v", key, err))
					return
				}
				ack(fmt.Sprintf("put %d %d %d", w, i, e.ModRevision))
				if i < 3 {
					continue
				}
				rev, err := s.Delete(ctx, crashKey(round, w, i-3), store.Any)
				if err != nil {
					ack(fmt.Sprintf("failed %s 0 %v", key, err))
					return
				}
				ack(fmt.Sprintf("delete %d %d %d", w, i-3, rev))
			}
		})
	}
	wg.Wait()
}

func crashKey(round, writer, i int) string { return fmt.Sprintf("/%d/%d/%d", round, writer, i) }

func TestKill(t *testing.T) {
	newest := int64(0) // revision acknowledged in all rounds so far
	crashtest.Rounds(t, 15, 400, func(dir string, round int, lines []string) {
		var put, deleted [crashWriters]int // how many were acknowledged
		for _, line := range lines {
			var op string
			var w, i int
			var rev int64
			if _, err := fmt.Sscan(line, &op, &w, &i, &rev); err != nil || op == "failed" {
				t.Fatalf("the child says %q", line)
			}
			if op == "put" {
				put[w] = i + 1
			} else {
				deleted[w] = i + 1
			}
			newest = max(newest, rev)
		}
		s := open(t, dir)
		defer s.Close()
		newest = checkRevisions(t, s, newest)
		for w := range crashWriters {
			for i := range put[w] {
				checkKey(t, s, crashKey(round, w, i), i < deleted[w], i >= deleted[w] && i+3 >= put[w])
			}
		}
	})
}

// checkKey looks for a key that must be gone, must be there, or may be either
// because its deletion was under way.
func checkKey(t *testing.T, s store.Store, key string, gone, there bool) {
	e, err := s.Get(t.Context(), key)
	if gone && err == nil {
		t.Errorf("%s was deleted and is back", key)
	}
	if there && (err != nil || string(e.Value) != key) {
		t.Errorf("%s was acknowledged and is %q, %v", key, e.Value, err)
	}
}

// checkRevisions checks that revisions go on after the newest acknowledged one
// and are unique, and answers the newest.
func checkRevisions(t *testing.T, s store.Store, newest int64) int64 {
	entries, rev, err := s.List(t.Context(), "")
	if err != nil || rev < newest {
		t.Fatalf("the store is at revision %d (%v), %d was acknowledged", rev, err, newest)
	}
	seen := map[int64]string{}
	for _, e := range entries {
		if other := seen[e.ModRevision]; other != "" || e.ModRevision > rev {
			t.Errorf("%s has revision %d, as has %q; the store is at %d", e.Key, e.ModRevision, other, rev)
		}
		seen[e.ModRevision] = e.Key
	}
	e, err := s.Put(t.Context(), "/next", nil, store.PutOptions{})
	if err != nil || e.ModRevision != rev+1 {
		t.Errorf("the next write has revision %d (%v) after %d", e.ModRevision, err, rev)
	}
	return e.ModRevision
}
