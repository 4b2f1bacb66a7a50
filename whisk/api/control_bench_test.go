package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	blobmem "millrace/blob/mem"
	"millrace/store"
	storedisk "millrace/store/disk"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
)

// manyActions is an API over a store, with 100,000 actions in guest.
func manyActions(b *testing.B, s store.Store) *API {
	a, _ := newAPI(b, func(c *Config) {
		cat, err := catalog.Open(b.Context(), c.Log, s, blobmem.New())
		if err != nil {
			b.Fatal(err)
		}
		c.Catalog = cat
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Catalog.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	limits := whisk.DefaultSystemLimits()
	const actions, writers = 100_000, 100
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := w; i < actions && err == nil; i += writers {
				act := &whisk.Action{
					Namespace: "guest", Name: fmt.Sprint("a", i), Version: "0.0.1", Updated: int64(i), Limits: limits.Defaults(),
					Exec:        whisk.Exec{Kind: "nodejs:20"},
					Annotations: whisk.KeyValues{{Key: "provide-api-key", Value: json.RawMessage("false")}, {Key: "exec", Value: json.RawMessage(`"nodejs:20"`)}},
				}
				_, err = a.Catalog.PutAction(context.Background(), act, []byte(helloCode))
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	return a
}

func ask(b *testing.B, a *API, path string) {
	r := httptest.NewRequest("GET", "/api/v1/namespaces/_/"+path, nil)
	r.Header.Set("Authorization", basic(GuestKey))
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
}

func BenchmarkListOf100000(b *testing.B) {
	a := manyActions(b, storemem.New())
	for _, query := range []string{"limit=200", "limit=200&skip=50000", "count=true"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				ask(b, a, "actions?"+query)
			}
		})
	}
}

func BenchmarkReadOf100000(b *testing.B) {
	a := manyActions(b, storemem.New())
	n := 0
	for b.Loop() {
		n = (n + 7919) % 100_000
		ask(b, a, fmt.Sprint("actions/a", n))
	}
}

// BenchmarkPutOf100000: updates by 16 clients, each synced.
func BenchmarkPutOf100000(b *testing.B) {
	s, err := storedisk.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	srv := httptest.NewServer(manyActions(b, s))
	b.Cleanup(srv.Close)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	b.Cleanup(client.CloseIdleConnections)
	var n atomic.Int64
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			path := fmt.Sprint("/api/v1/namespaces/_/actions/a", n.Add(7919)%100_000, "?overwrite=true")
			r, err := http.NewRequest("PUT", srv.URL+path, strings.NewReader(`{"exec":{"kind":"nodejs:20","code":"`+helloCode+`"}}`))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", basic(GuestKey))
			r.Header.Set("Content-Type", "application/json")
			res, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			if res.Body.Close(); res.StatusCode != http.StatusOK {
				b.Error(res.Status)
			}
		}
	})
}
