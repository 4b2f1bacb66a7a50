package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/whisk/runtime"
)

var logLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr): ((?s).*)$`)

// texts answers the texts of the lines of one stream and checks their form.
func texts(t *testing.T, lines []string, stream string) []string {
	t.Helper()
	var out []string
	for _, line := range lines {
		m := logLine.FindStringSubmatch(line)
		if m == nil || len(m[1]) != 30 {
			t.Errorf("%q has not the form of a log line", line)
			continue
		}
		if m[2] == stream {
			out = append(out, m[3])
		}
	}
	return out
}

func (s suite) logs(t *testing.T) {
	i := s.start(t, Init(s.need(t, "log")))
	for _, n := range []int{3, 0, 2000, 1} {
		reply, err := i.Run(context.Background(), Call(fmt.Sprintf(`{"n":%d}`, n)))
		if err != nil {
			t.Fatal(err)
		}
		var out, errs []string
		for k := range n {
			out, errs = append(out, fmt.Sprintf("out %d", k)), append(errs, fmt.Sprintf("err %d", k))
		}
		if n > 0 {
			out = append(out, "", "unfinished")
		}
		if diff := cmp.Diff(out, texts(t, reply.Logs, "stdout")); diff != "" {
			t.Errorf("stdout of %d lines (-want +got):\n%s", n, diff)
		}
		if diff := cmp.Diff(errs, texts(t, reply.Logs, "stderr")); diff != "" {
			t.Errorf("stderr of %d lines (-want +got):\n%s", n, diff)
		}
	}
}

func (s suite) logLimit(t *testing.T) {
	code := s.need(t, "log")
	for _, limit := range []int{0, 1000} {
		in := Init(code)
		in.LogLimit = limit
		i := s.start(t, in)
		for range 2 { // the limit is each call's
			reply, err := i.Run(context.Background(), Call(`{"n":5000}`))
			if err != nil {
				t.Fatal(err)
			}
			checkLimited(t, reply, limit)
		}
	}
}

func checkLimited(t *testing.T, reply *runtime.Reply, limit int) {
	t.Helper()
	if limit == 0 {
		if len(reply.Logs) > 0 {
			t.Errorf("%d lines are collected although the limit is 0", len(reply.Logs))
		}
		return
	}
	size := 0
	last := len(reply.Logs) - 1
	if last < 1 {
		t.Fatalf("logs are %q", reply.Logs)
	}
	for _, line := range reply.Logs[:last] {
		size += len(line)
	}
	want := fmt.Sprintf(" stderr: Logs were truncated because the total bytes size exceeds the limit of %d bytes.", limit)
	if size > limit || size < limit-100 || !strings.HasSuffix(reply.Logs[last], want) {
		t.Errorf("%d bytes of logs end with %q", size, reply.Logs[last])
	}
}

// watcher keeps the lines that it gets and tells when there are so many.
type watcher struct {
	mu    sync.Mutex
	lines []string
	want  int
	seen  func()
}

func (w *watcher) Line(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	if len(w.lines) == w.want {
		w.seen()
	}
}

// liveLogs: lines are there while the call runs, those of Init first. The call
// would not end in time otherwise.
func (s suite) liveLogs(t *testing.T) {
	in := Init(s.need(t, "log and sleep"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := &watcher{want: 3, seen: cancel}
	in.Lines = w
	i := s.start(t, in)
	c := Call(`{}`)
	c.Lines = w
	if reply, err := i.Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Fatalf("the call ended with %v (%s) before its lines were seen: %q", err, show(reply), w.lines)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff([]string{"loaded", "one"}, texts(t, w.lines[:3], "stdout")); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"two"}, texts(t, w.lines[:3], "stderr")); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
}

// liveLogsAreTheLogs: each call shows its own lines, as its reply has them.
func (s suite) liveLogsAreTheLogs(t *testing.T) {
	in := Init(s.need(t, "log"))
	in.LogLimit = 1000
	i := s.start(t, in)
	for _, n := range []int{3, 0, 500, 1} {
		w := &watcher{}
		c := Call(fmt.Sprintf(`{"n":%d}`, n))
		c.Lines = w
		reply, err := i.Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reply.Logs, w.lines); diff != "" {
			t.Errorf("%d lines: what was seen differs from the logs (-logs +seen):\n%s", n, diff)
		}
	}
}
