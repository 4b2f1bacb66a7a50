package wsk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recordLog is a platform that lists activations, newest first.
type recordLog struct {
	mu       sync.Mutex
	records  []map[string]any
	requests int
	failing  int // this many of the next requests are answered 503
	after    func(requests int)
}

func (l *recordLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/activations") {
		http.NotFound(w, r)
		return
	}
	l.requests++
	defer func() {
		if l.after != nil {
			l.after(l.requests)
		}
	}()
	if l.failing > 0 {
		l.failing--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
		return n
	}
	var found []map[string]any
	for _, rec := range l.records {
		if rec["start"].(int64) >= number("since") {
			found = append(found, rec)
		}
	}
	slices.SortStableFunc(found, func(a, b map[string]any) int { return cmp.Compare(b["start"].(int64), a["start"].(int64)) })
	found = found[min(len(found), int(number("skip"))):]
	json.NewEncoder(w).Encode(found[:min(len(found), pageSize)])
}

// add puts in a record that ended after so many ms; a negative duration is a
// call that runs.
func (l *recordLog) add(name string, start, duration int64) {
	status, end := "success", start+duration
	if duration < 0 {
		status, end = "running", 0
	}
	l.records = append(l.records, map[string]any{
		"activationId": name, "name": name, "start": start, "end": end, "logs": []string{"log of " + name},
		"response": map[string]any{"status": status},
	})
}

func (l *recordLog) end(name string, end int64) {
	for _, rec := range l.records {
		if rec["name"] == name {
			rec["end"], rec["response"] = end, map[string]any{"status": "success"}
		}
	}
}

// polled runs a poller until l has had so many requests and answers the names
// printed, in order.
func polled(t *testing.T, l *recordLog, requests int, back time.Duration) []string {
	t.Helper()
	server := httptest.NewServer(l)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	then := l.after
	l.after = func(n int) {
		if then != nil {
			then(n)
		}
		if n >= requests {
			cancel()
		}
	}
	var out bytes.Buffer
	props := filepath.Join(t.TempDir(), "props")
	a := &app{Env: Env{Out: &out, Err: io.Discard, Lookup: func(name string) (string, bool) { return props, name == "WSK_CONFIG_FILE" }}}
	a.flags.apihost, a.flags.auth = server.URL, "u:k"
	c, err := a.client(true)
	if err != nil {
		t.Fatal(err)
	}
	c.namespace = "_"
	p := &poller{app: a, c: c, namespace: "_", interval: time.Millisecond, seen: make(map[string]int64)}
	if err := p.run(ctx, back, 0); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		if after, ok := strings.CutPrefix(line, "Activation: '"); ok {
			name, _, _ := strings.Cut(after, "'")
			names = append(names, name)
		}
	}
	return names
}

const noon = int64(1_700_000_000_000)

func TestPollPrintsEachOnce(t *testing.T) {
	l := &recordLog{}
	l.add("past", noon, 10)
	l.after = func(n int) {
		switch n {
		case 2:
			l.add("first", noon+100, 5)
			l.add("runs", noon+101, -1)
		case 3: // the same millisecond as one that has been printed
			l.add("twin", noon+100, 5)
			l.failing = 2
		case 6: // ends after one that started later
			l.add("long", noon+50, 200)
			l.add("trigger", noon+120, 0)
			l.end("runs", noon+250)
		}
	}
	got := polled(t, l, 10, 0)
	if want := []string{"first", "twin", "long", "runs", "trigger"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Many more than an answer holds, some of which end behind all the others.
func TestPollReadsEveryPage(t *testing.T) {
	l := &recordLog{}
	var want []string
	add := func(name string, start, duration int64) {
		l.add(name, start, duration)
		want = append(want, name)
	}
	l.add("past", noon, 0)
	l.after = func(n int) {
		switch n {
		case 1:
			for i := range 3*pageSize + 7 {
				add(fmt.Sprint("a", i), noon+int64(i/5), 1)
			}
		case 8:
			add("late", noon+1, 500)
		case 9:
			add("new", noon+400, 1)
		}
	}
	got := polled(t, l, 40, 0)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d printed, want %d", len(got), len(want))
	}
}

func TestPollSince(t *testing.T) {
	now := time.Now().UnixMilli()
	l := &recordLog{}
	l.add("before", now-3_600_000, 1)
	l.add("within", now-30_000, 1)
	got := polled(t, l, 4, time.Minute)
	if want := []string{"within"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
