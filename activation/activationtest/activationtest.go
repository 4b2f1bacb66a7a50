// Package activationtest is the conformance test of activation.Log: what holds
// for one engine holds for all.
package activationtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"millrace/activation"
	"millrace/whisk"

	"github.com/google/go-cmp/cmp"
)

// Run checks an engine. open makes an empty log; Run closes it. Each test runs
// twice: with the records where Put leaves them, and again after Sync, because
// an engine may then look for them elsewhere.
func Run(t *testing.T, open func(t *testing.T) activation.Log) {
	tests := []struct {
		name string
		run  func(t *testing.T, l log)
	}{
		{"put and get", testPutGet},
		{"list and count", testQueries},
		{"brief list", testBrief},
		{"order of equal starts", testEqualStarts},
		{"a running record is replaced", testRunning},
		{"a record is replaced", testReplaced},
		{"namespaces are apart", testNamespaces},
		{"expire by age", testExpireByAge},
		{"expire by size", testExpireBySize},
		{"accepted calls", testAccepted},
		{"accepted calls change", testRequeued},
		{"dead letters", testLetters},
		{"concurrent calls", testConcurrent},
		{"ended context", testContext},
		{"close", testClose},
	}
	for _, tt := range tests {
		for _, settle := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/synced=%t", tt.name, settle), func(t *testing.T) {
				l := open(t)
				t.Cleanup(func() { l.Close() })
				tt.run(t, log{l, settle})
			})
		}
	}
}

// log is a Log with the choice whether tests look at synced records.
type log struct {
	activation.Log
	synced bool
}

func (l log) settle(t *testing.T) {
	t.Helper()
	if !l.synced {
		return
	}
	if err := l.Sync(t.Context()); err != nil {
		t.Fatalf("Sync: %v", err)
	}
}

// ID makes an activation id from a number.
func ID(n int) string { return fmt.Sprintf("%032x", n) }

// Record makes a finished record of about 1.2 KB, the usual size.
func Record(namespace string, n int, start int64) *whisk.Activation {
	size := 8
	return &whisk.Activation{
		Namespace: namespace, Name: "hello", Version: "0.0.1", Subject: namespace,
		ID: ID(n), Start: start, End: start + 12, Cause: ID(n + 1),
		Response: whisk.Response{
			Status: whisk.Success,
			Result: json.RawMessage(`{"text":"` + strings.Repeat("lorem ipsum ", 40) + `"}`),
			Size:   &size,
		},
		Logs: []string{
			"2026-01-01T00:00:00.000000000Z stdout: " + strings.Repeat("x", 80),
			"2026-01-01T00:00:00.000000001Z stderr: done",
		},
		Annotations: whisk.KeyValues{
			{Key: "path", Value: json.RawMessage(`"` + namespace + `/hello"`)},
			{Key: "waitTime", Value: json.RawMessage(`5`)},
			{Key: "kind", Value: json.RawMessage(`"nodejs:20"`)},
			{Key: "timeout", Value: json.RawMessage(`false`)},
			{Key: "limits", Value: json.RawMessage(`{"concurrency":1,"logs":10,"memory":256,"timeout":60000}`)},
			{Key: "initTime", Value: json.RawMessage(`31`)},
		},
	}
}

// named is a record of an action, with path and binding annotations.
func named(n int, start int64, name, path, binding string) *whisk.Activation {
	rec := &whisk.Activation{Namespace: "guest", Name: name, ID: ID(n), Start: start}
	if path != "" {
		rec.Annotations = rec.Annotations.With("path", json.RawMessage(`"`+path+`"`))
	}
	if binding != "" {
		rec.Annotations = rec.Annotations.With("binding", json.RawMessage(`"`+binding+`"`))
	}
	return rec
}

func running(rec *whisk.Activation) *whisk.Activation {
	r := *rec
	r.End, r.Logs, r.Response = 0, nil, whisk.Response{Status: whisk.Running}
	return &r
}

func list(t *testing.T, l activation.Log, q activation.Query) []string {
	t.Helper()
	recs, err := l.List(t.Context(), "guest", q)
	if err != nil {
		t.Fatalf("List(%+v): %v", q, err)
	}
	var ids []string
	for _, rec := range recs {
		ids = append(ids, strings.TrimLeft(rec.ID, "0"))
	}
	return ids
}

func count(t *testing.T, l activation.Log, q activation.Query) int {
	t.Helper()
	n, err := l.Count(t.Context(), "guest", q)
	if err != nil {
		t.Fatalf("Count(%+v): %v", q, err)
	}
	return n
}

func get(t *testing.T, l activation.Log, namespace, id string) *whisk.Activation {
	t.Helper()
	rec, err := l.Get(t.Context(), namespace, id)
	if err != nil {
		t.Fatalf("Get(%s, %s): %v", namespace, id, err)
	}
	return rec
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testPutGet(t *testing.T, l log) {
	if _, err := l.Get(t.Context(), "guest", ID(1)); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("Get of no record: %v, want ErrNotFound", err)
	}
	full := Record("guest", 1, 1_700_000_000_000)
	full.Publish = true
	full.Response.Status = whisk.DeveloperError
	full.Annotations = append(full.Annotations, whisk.KeyValue{Key: "k", Value: json.RawMessage(`null`), Init: true, Encryption: "aes-256"})
	for _, rec := range []*whisk.Activation{
		full,
		{Namespace: "guest", ID: ID(2), Name: "trigger", Start: 5, Logs: []string{}},
		{Namespace: "guest/odd ns\x00\xff", ID: "odd\x00id", Name: "näme"},
		{Namespace: "guest", ID: ID(3), Response: whisk.Response{Result: json.RawMessage("{\"big\":\"" + strings.Repeat("x", 1<<16) + "\"}")}},
	} {
		l.Put(rec)
		l.settle(t)
		equal(t, "record", get(t, l, rec.Namespace, rec.ID), rec)
	}
}

// fill puts the records on which queries are tried: id n starts at 1000*n.
func fill(t *testing.T, l log) {
	for _, rec := range []*whisk.Activation{
		named(1, 1000, "hello", "guest/hello", ""),
		named(3, 3000, "hello", "guest/pkg/hello", ""),
		named(2, 2000, "hello", "guest/hello", ""),
		named(6, 6000, "hello2", "guest/hello2", ""),
		named(5, 5000, "echo", "whisk.system/utils/echo", "guest/bound"),
		named(4, 4000, "trigger", "", ""),
		named(7, 7000, "hello", "guest/hello", ""),
		named(8, 8000, "echo", "whisk.system/utils/echo", ""),
		named(9, 9000, "hell", "guest/hell", ""),
	} {
		l.Put(rec)
	}
	l.Put(running(named(10, 10_000, "hello", "guest/hello", "")))
	l.settle(t)
}

func testQueries(t *testing.T, l log) {
	fill(t, l)
	words := strings.Fields
	tests := []struct {
		q    activation.Query
		want []string
		n    int
	}{
		{activation.Query{}, words("a 9 8 7 6 5 4 3 2 1"), 10},
		{activation.Query{Limit: 3}, words("a 9 8"), 10},
		{activation.Query{Ended: true}, words("9 8 7 6 5 4 3 2 1"), 9},
		{activation.Query{Ended: true, Skip: 1, Limit: 2}, words("8 7"), 8},
		{activation.Query{Skip: 3}, words("7 6 5 4 3 2 1"), 7},
		{activation.Query{Skip: 8, Limit: 5}, words("2 1"), 2},
		{activation.Query{Skip: 10, Limit: 5}, nil, 0},
		{activation.Query{Skip: 1000}, nil, 0},
		{activation.Query{Since: 4000}, words("a 9 8 7 6 5 4"), 7},
		{activation.Query{Since: 4001}, words("a 9 8 7 6 5"), 6},
		{activation.Query{Upto: 4000}, words("4 3 2 1"), 4},
		{activation.Query{Upto: 3999}, words("3 2 1"), 3},
		{activation.Query{Since: 3000, Upto: 6000}, words("6 5 4 3"), 4},
		{activation.Query{Since: 6000, Upto: 3000}, nil, 0},
		{activation.Query{Since: 3000, Upto: 6000, Skip: 1, Limit: 2}, words("5 4"), 3},
		{activation.Query{Since: 20_000}, nil, 0},
		{activation.Query{Upto: 1}, nil, 0},
		{activation.Query{Name: "hello"}, words("a 7 2 1"), 4},
		{activation.Query{Name: "hello", Limit: 2}, words("a 7"), 4},
		{activation.Query{Name: "hello", Skip: 1, Limit: 2}, words("7 2"), 3},
		{activation.Query{Name: "hello", Since: 2000, Upto: 7000}, words("7 2"), 2},
		{activation.Query{Name: "pkg/hello"}, words("3"), 1},
		{activation.Query{Name: "bound/echo"}, words("5"), 1},
		{activation.Query{Name: "utils/echo"}, words("8"), 1},
		{activation.Query{Name: "trigger"}, words("4"), 1},
		{activation.Query{Name: "echo"}, nil, 0},
		{activation.Query{Name: "hel"}, nil, 0},
		{activation.Query{Name: "pkg/"}, nil, 0},
	}
	for _, tt := range tests {
		equal(t, fmt.Sprintf("list of %+v", tt.q), list(t, l, tt.q), tt.want)
		if got := count(t, l, tt.q); got != tt.n {
			t.Errorf("Count(%+v) = %d, want %d", tt.q, got, tt.n)
		}
	}
}

// A brief list has all but logs and results.
func testBrief(t *testing.T, l log) {
	for n := 1; n <= 3; n++ {
		l.Put(Record("guest", n, int64(n)*1000))
	}
	l.settle(t)
	for _, name := range []string{"", Record("guest", 1, 1000).Name} {
		whole, err := l.List(t.Context(), "guest", activation.Query{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		brief, err := l.List(t.Context(), "guest", activation.Query{Name: name, Brief: true})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "brief list", withoutLarge(brief), withoutLarge(whole))
	}
}

func withoutLarge(recs []*whisk.Activation) []whisk.Activation {
	out := make([]whisk.Activation, len(recs))
	for i, rec := range recs {
		out[i] = *rec
		out[i].Logs, out[i].Response.Result = nil, nil
	}
	return out
}

func testEqualStarts(t *testing.T, l log) {
	for _, n := range []int{3, 1, 2, 5, 4} {
		l.Put(named(n, 1000, "hello", "guest/hello", ""))
		if n == 1 {
			l.settle(t)
		}
	}
	all := list(t, l, activation.Query{})
	equal(t, "list", all, strings.Fields("1 2 3 4 5"))
	var paged []string
	for skip := 0; skip < 5; skip += 2 {
		paged = append(paged, list(t, l, activation.Query{Skip: skip, Limit: 2})...)
	}
	equal(t, "the same list by pages", paged, all)
}

func testRunning(t *testing.T, l log) {
	done := named(2, 2000, "hello", "guest/hello", "")
	l.Put(named(1, 1000, "hello", "guest/hello", ""))
	l.Put(running(done))
	l.Put(named(3, 3000, "hello", "guest/hello", ""))
	l.settle(t)
	if got := get(t, l, "guest", done.ID).Response.Status; got != whisk.Running {
		t.Errorf("status %v while it runs", got)
	}
	equal(t, "list while it runs", list(t, l, activation.Query{}), strings.Fields("3 2 1"))
	if n := count(t, l, activation.Query{Name: "hello"}); n != 3 {
		t.Errorf("count while it runs is %d, want 3", n)
	}
	// The start moves back by the time that /init took, here past another.
	done.Start = 900
	l.Put(done)
	for _, synced := range []bool{false, true} {
		if synced {
			l.settle(t)
		}
		equal(t, "record", get(t, l, "guest", done.ID), done)
		equal(t, "list afterwards", list(t, l, activation.Query{}), strings.Fields("3 1 2"))
		equal(t, "list around the old start", list(t, l, activation.Query{Since: 1500, Upto: 2500}), []string(nil))
		equal(t, "list of the name", list(t, l, activation.Query{Name: "hello", Upto: 950}), strings.Fields("2"))
		if n := count(t, l, activation.Query{}); n != 3 {
			t.Errorf("count afterwards is %d, want 3", n)
		}
	}
}

func testReplaced(t *testing.T, l log) {
	l.Put(named(1, 1000, "hello", "guest/hello", ""))
	l.Put(named(2, 2000, "hello", "guest/hello", ""))
	l.settle(t)
	again := named(1, 3000, "hello", "guest/pkg/hello", "")
	again.End = 3001
	l.Put(again)
	for _, synced := range []bool{false, true} {
		if synced {
			l.settle(t)
		}
		equal(t, "record", get(t, l, "guest", ID(1)), again)
		equal(t, "list", list(t, l, activation.Query{}), strings.Fields("1 2"))
		equal(t, "list of the old name", list(t, l, activation.Query{Name: "hello"}), strings.Fields("2"))
		equal(t, "list of the new name", list(t, l, activation.Query{Name: "pkg/hello"}), strings.Fields("1"))
		equal(t, "list around the old start", list(t, l, activation.Query{Upto: 1500}), []string(nil))
		for _, q := range []activation.Query{{Name: "hello"}, {Name: "pkg/hello"}, {Since: 2500}, {Upto: 2500}} {
			if n := count(t, l, q); n != 1 {
				t.Errorf("Count(%+v) = %d, want 1", q, n)
			}
		}
	}
}

func testNamespaces(t *testing.T, l log) {
	for i, ns := range []string{"guest", "guest2", "gues", "guest\x00", ""} {
		rec := named(1, int64(1000*i), "hello", "guest/hello", "")
		rec.Namespace = ns
		l.Put(rec)
	}
	l.settle(t)
	equal(t, "list of guest", list(t, l, activation.Query{}), strings.Fields("1"))
	equal(t, "list of guest by name", list(t, l, activation.Query{Name: "hello"}), strings.Fields("1"))
	if n := count(t, l, activation.Query{}); n != 1 {
		t.Errorf("count of guest is %d, want 1", n)
	}
	if rec := get(t, l, "guest2", ID(1)); rec.Start != 1000 {
		t.Errorf("guest2 has a record that starts at %d", rec.Start)
	}
	if _, err := l.Get(t.Context(), "stranger", ID(1)); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("Get by a stranger: %v, want ErrNotFound", err)
	}
}

func testAccepted(t *testing.T, l log) {
	if got := pending(t, l); len(got) > 0 {
		t.Errorf("a new log has %v", got)
	}
	var calls []activation.Accepted
	for _, n := range []int{5, 3, 9, 1} { // the order of acceptance, not of ids
		call := activation.Accepted{ID: ID(n), Namespace: "guest", Call: fmt.Appendf(nil, "call \x00 %d", n)}
		if err := l.Apply(t.Context(), activation.Change{Accept: []activation.Accepted{call}}); err != nil {
			t.Fatalf("Apply: %v", err)
		}
		calls = append(calls, call)
	}
	equal(t, "accepted calls", pending(t, l), calls)

	if err := l.Started(ID(3)); err != nil {
		t.Errorf("Started: %v", err)
	}
	calls[1].Started = true
	if err := l.Started(ID(77)); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("Started of an unknown call: %v, want ErrNotFound", err)
	}
	equal(t, "with one started", pending(t, l), calls)

	rec := Record("guest", 5, 1000)
	l.Put(running(rec))
	if err := l.Finish(rec.ID, rec); err != nil {
		t.Errorf("Finish: %v", err)
	}
	l.settle(t)
	equal(t, "after one has ended", pending(t, l), calls[1:])
	equal(t, "its record", get(t, l, "guest", rec.ID), rec)
	equal(t, "list", list(t, l, activation.Query{}), strings.Fields("5"))

	unknown := Record("guest", 6, 2000) // never accepted, but its record counts
	if err := l.Finish(unknown.ID, unknown); err != nil {
		t.Errorf("Finish of an unknown call: %v", err)
	}
	equal(t, "list", list(t, l, activation.Query{}), strings.Fields("6 5"))
	again := activation.Accepted{ID: ID(9), Namespace: "guest", Call: []byte("changed")}
	if err := l.Apply(t.Context(), activation.Change{Accept: []activation.Accepted{again}}); err != nil {
		t.Errorf("accepting again: %v", err)
	}
	calls[2] = again
	equal(t, "with one changed", pending(t, l), calls[1:])
}

func testConcurrent(t *testing.T, l log) {
	const workers, rounds = 8, 40
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				n := 1 + w*rounds + i
				rec := Record("guest", n, int64(1000+n))
				l.Put(running(rec))
				l.Put(rec)
				if got, err := l.Get(t.Context(), "guest", rec.ID); err != nil || got.End != rec.End {
					t.Errorf("a record just put: %+v, %v", got, err)
				}
				if i%10 == 0 {
					l.settle(t)
				}
			}
		})
	}
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for seen := 0; ; {
			seen = checkList(t, l, seen)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	wg.Wait()
	close(stop)
	reader.Wait()
	if n := count(t, l, activation.Query{Name: "hello"}); n != workers*rounds {
		t.Errorf("%d records, want %d", n, workers*rounds)
	}
	if n := checkList(t, l, 0); n != workers*rounds {
		t.Errorf("the list has %d records, want %d", n, workers*rounds)
	}
}

// checkList lists everything while others put: nothing twice, in order, and
// nothing of what was seen before missing.
func checkList(t *testing.T, l activation.Log, before int) int {
	recs, err := l.List(t.Context(), "guest", activation.Query{})
	if err != nil {
		t.Errorf("List: %v", err)
		return before
	}
	seen := map[string]bool{}
	for i, rec := range recs {
		if seen[rec.ID] {
			t.Errorf("%s is listed twice", rec.ID)
		}
		seen[rec.ID] = true
		if i > 0 && recs[i-1].Start < rec.Start {
			t.Errorf("a record of %d after one of %d", rec.Start, recs[i-1].Start)
		}
	}
	if len(recs) < before {
		t.Errorf("%d records listed, earlier there were %d", len(recs), before)
	}
	return len(recs)
}

func testContext(t *testing.T, l log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := l.Get(ctx, "guest", ID(1))
	_, listErr := l.List(ctx, "guest", activation.Query{})
	_, countErr := l.Count(ctx, "guest", activation.Query{})
	applyErr := l.Apply(ctx, activation.Change{Accept: []activation.Accepted{{ID: ID(1)}}})
	_, pendingErr := Pending(ctx, l)
	for op, err := range map[string]error{
		"Get": getErr, "List": listErr, "Count": countErr, "Apply": applyErr, "EachPending": pendingErr, "Sync": l.Sync(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want context.Canceled", op, err)
		}
	}
	if got := pending(t, l); len(got) > 0 {
		t.Errorf("an Apply with an ended context was made: %v", got)
	}
}

func testClose(t *testing.T, l log) {
	l.Put(Record("guest", 1, 1000))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				l.Put(Record("guest", 100*w+i, 1000))
				_, err := l.Get(t.Context(), "guest", ID(1))
				if err != nil && !errors.Is(err, activation.ErrClosed) {
					t.Errorf("Get while closing: %v", err)
				}
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	l.Put(Record("guest", 2, 1000)) // no harm
	_, getErr := l.Get(t.Context(), "guest", ID(1))
	_, listErr := l.List(t.Context(), "guest", activation.Query{})
	_, countErr := l.Count(t.Context(), "guest", activation.Query{})
	_, pendingErr := Pending(t.Context(), l)
	for op, err := range map[string]error{
		"Get": getErr, "List": listErr, "Count": countErr, "EachPending": pendingErr,
		"Apply":   l.Apply(t.Context(), activation.Change{Accept: []activation.Accepted{{ID: ID(1)}}}),
		"Started": l.Started(ID(1)),
		"Finish":  l.Finish(ID(1), Record("guest", 1, 1000)),
		"Sync":    l.Sync(t.Context()),
	} {
		if !errors.Is(err, activation.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", op, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
