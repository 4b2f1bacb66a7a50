package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/store"
)

// fill stores n routes that all use upstream 1.
func (b *bench) fill(n int) {
	b.t.Helper()
	for i := range n {
		b.put(fmt.Sprintf("/apisix/routes/%06d", i), fmt.Sprintf(`{"id":"%06d","uri":"/r/%d","upstream_id":"1","plugins":{"tester":{"count":1}}}`, i, i))
	}
}

// put writes past the Admin API, as another client of the store does.
func (b *bench) put(key, value string) {
	b.t.Helper()
	if _, err := b.store.Put(context.Background(), key, []byte(value), store.PutOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// TestGuardsFollowTheStore has others write to the store between two deletions, much
// at once.
func TestGuardsFollowTheStore(t *testing.T) {
	b := start(t, nil)
	used := msg("can not delete this upstream, route [a] is still using it now")
	for _, id := range []string{"1", "2"} {
		b.do("PUT", "/upstreams/"+id, `{"nodes":{}}`)
	}
	b.do("PUT", "/routes/a", `{"uri":"/a","upstream_id":1}`)
	b.expect(b.do("DELETE", "/upstreams/1", ""), 400, used)
	b.do("PUT", "/routes/a", `{"uri":"/a","upstream_id":"2"}`)
	b.expect(b.do("DELETE", "/upstreams/2", ""), 400, used)
	b.expect(b.do("DELETE", "/upstreams/1", ""), 200, `{"key":"/apisix/upstreams/1","deleted":"1"}`)
	filler := strings.Repeat(" ", 1<<16)
	for i := range 50 {
		b.put(fmt.Sprintf("/apisix/protos/%d", i), filler)
	}
	b.put("/apisix/routes/a", `{"id":"a","uri":"/a"}`)
	b.put("/apisix/routes/b", `{"id":"b","uri":"/a","service_id":"s"}`)
	b.put("/apisix/services/s", `{"id":"s"}`)
	deadline := time.Now().Add(30 * time.Second)
	for b.do("DELETE", "/upstreams/2", "").status != 200 {
		if time.Now().After(deadline) {
			t.Fatal("the guard does not learn what others write")
		}
	}
	b.expect(b.do("DELETE", "/services/s", ""), 400, msg("can not delete this service directly, route [b] is still using it now"))
}

// BenchmarkGuard deletes an upstream that nobody uses among 100,000 routes, with a
// change of a route before each deletion. The first, not counted, builds the index.
func BenchmarkGuard(bb *testing.B) {
	b := start(bb, nil)
	b.fill(100_000)
	began := time.Now()
	b.expect(b.do("DELETE", "/upstreams/2", ""), 404, keyNotFound)
	first := time.Since(began)
	for bb.Loop() {
		if got := b.do("PUT", "/routes/000007", plain); got.status != 200 {
			bb.Fatal(got.status, got.body)
		}
		b.expect(b.do("DELETE", "/upstreams/2", ""), 404, keyNotFound)
	}
	bb.ReportMetric(float64(first.Milliseconds()), "ms-first")
}

// BenchmarkPage reads a page of 100,000 routes.
func BenchmarkPage(bb *testing.B) {
	b := start(bb, nil)
	b.fill(100_000)
	for bb.Loop() {
		if got := b.do("GET", "/routes?page=7&page_size=10", ""); got.status != 200 {
			bb.Fatal(got.status, got.body)
		}
	}
}
