package process

import (
	"errors"
	"strings"
	"testing"
	"time"

	"millrace/whisk/runtime"
)

// Output that a pipe cannot hold at once is the call's all the same.
func TestOutputLargerThanAPipe(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	for kind, code := range map[string]string{
		"nodejs:20":   `function main(a) { console.log('z'.repeat(300000)); console.error('e'.repeat(200000)); if (a.exit) process.exit(1) }`,
		"python:3.11": "import os, sys\ndef main(a):\n  print('z' * 300000)\n  print('e' * 200000, file=sys.stderr)\n  if 'exit' in a: sys.stdout.flush(); os._exit(1)\n  return {}",
	} {
		i := action(t, l, kind, code)
		for _, args := range []string{`{}`, `{"exit":true}`} {
			reply, err := call(i, args)
			if reply == nil || err != nil && !errors.Is(err, runtime.ErrExited) {
				t.Fatalf("%s %s: %v", kind, args, err)
			}
			logs := strings.Join(reply.Logs, "\n")
			if z, e := strings.Count(logs, "z"), strings.Count(logs, "e"); z != 300000 || e < 200000 {
				t.Errorf("%s %s: %d bytes on stdout, %d on stderr are collected", kind, args, z, e)
			}
		}
	}
}

// An action that writes without end neither fills its memory nor outlives its time.
func TestOutputWithoutEnd(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	i := action(t, l, "nodejs:20", `function main() { for (;;) console.log('e'.repeat(1000)) }`, func(in *runtime.Init) { in.MemoryMB = 128 })
	reply, err := i.Run(t.Context(), &runtime.Run{Args: []byte("{}"), Deadline: time.Now().Add(time.Second)})
	if !errors.Is(err, runtime.ErrTimeout) {
		t.Fatalf("got %v, %v", reply, err)
	}
	if n := len(reply.Logs); n < 100 || !strings.Contains(reply.Logs[n-1], "Logs were truncated") {
		t.Errorf("%d lines, the last is %q", n, reply.Logs[max(0, n-1):])
	}
}
