package process

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"millrace/whisk/runtime"
)

// joined answers the logs of a reply without times.
func joined(reply *runtime.Reply) string {
	var b strings.Builder
	for _, line := range reply.Logs {
		b.WriteString(line[31:] + "\n")
	}
	return b.String()
}

func TestOutputOfChildren(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	needKind(t, l, "nodejs:20")
	i := action(t, l, "nodejs:20", `function main() { require('child_process').execSync('echo child; echo bad >&2', {stdio: 'inherit'}) }`)
	reply, err := call(i, `{}`)
	// The order of the two streams is that in which they were read.
	if got := joined(reply); err != nil || len(reply.Logs) != 2 || !strings.Contains(got, "stdout: child\n") || !strings.Contains(got, "stderr: bad\n") {
		t.Errorf("%v, %q", err, got)
	}
}

// Output of a child that goes on for ever holds up neither calls nor memory.
func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	needKind(t, l, "nodejs:20")
	i := action(t, l, "nodejs:20", `let c; function main() { c = c || require('child_process').spawn('yes', {stdio: 'inherit'}) }`,
		func(in *runtime.Init) { in.LogLimit = 2000 })
	for range 3 {
		reply, err := call(i, `{}`)
		if err != nil {
			t.Fatal(err)
		}
		if len(joined(reply)) > 3000 {
			t.Errorf("%d lines are logged", len(reply.Logs))
		}
	}
}

func TestLogsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	for kind, code := range map[string]string{
		"nodejs:20":   `function main() { console.log('so far'); for (;;); }`,
		"python:3.10": "def main(a):\n    print('so far')\n    while True: pass\n",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needKind(t, l, kind)
			reply, err := callUntil(action(t, l, kind, code), 2*time.Second)
			if got := joined(reply); !errors.Is(err, runtime.ErrTimeout) || got != "stdout: so far\n" {
				t.Errorf("%v, %q", err, got)
			}
		})
	}
}

// What Init logs, and what is written after an answer, comes with the next call.
// TestLogsBetweenCalls: what is written between two calls is the second one's. The
// action writes when it is told to, after the first call's logs have been taken.
func TestLogsBetweenCalls(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	needKind(t, l, "nodejs:20")
	tell, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tell.Close()
	i := action(t, l, "nodejs:20", `console.log('init'); let late;
		function main({port}) {
			if (late) return late;
			const told = require('net').connect(port, '127.0.0.1').resume();
			late = new Promise(done => told.on('end', () => { console.log('late'); done({}) }));
		}`)
	args := fmt.Sprintf(`{"port":%d}`, tell.Addr().(*net.TCPAddr).Port)
	reply, err := call(i, args)
	if got := joined(reply); err != nil || got != "stdout: init\n" {
		t.Errorf("first call: %v, %q", err, got)
	}
	conn, err := tell.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	reply, err = call(i, args)
	if got := joined(reply); err != nil || got != "stdout: late\n" {
		t.Errorf("second call: %v, %q", err, got)
	}
}

// A collector without a process: bounds hold for lines of any kind.
func TestLogBounds(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty lines": strings.Repeat("\n", 1<<20),
		"one line":    strings.Repeat("x", 1<<20),
		"many lines":  strings.Repeat("some text\n", 1<<17),
	} {
		l := &logs{limit: 5000, out: stream{name: " stdout: "}}
		for rest := text; rest != ""; {
			n := min(len(rest), readSize)
			l.add(&l.out, []byte(rest[:n]))
			rest = rest[n:]
		}
		size := 0
		for _, line := range l.lines {
			size += len(line)
		}
		if !l.cut || size < 4000 || size > 5200 || len(l.out.partial) > 0 {
			t.Errorf("%s: %d bytes are kept, cut is %v", name, size, l.cut)
		}
	}
}

func FuzzLogs(f *testing.F) {
	f.Add([]byte("a\nb"), []byte("\xff\n\n"), 100)
	f.Fuzz(func(t *testing.T, a, b []byte, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		l := &logs{limit: limit, out: stream{name: " stdout: "}}
		l.add(&l.out, a)
		l.add(&l.out, b)
		size := 0
		for _, line := range l.lines {
			size += len(strings.ToValidUTF8(line, ""))
		}
		if size > limit+200 {
			t.Errorf("%d bytes are kept of a limit of %d", size, limit)
		}
	})
}
