package process

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/whisk/runtime"
)

func TestMain(m *testing.M) {
	Main()
	goleak.VerifyTestMain(m)
}

// newLauncher answers a launcher that is closed when the test ends.
func newLauncher(t testing.TB, cfg Config) *Launcher {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the launcher: %v", err)
		}
	})
	return l
}

// launch starts an instance that is closed when the test ends.
func launch(t testing.TB, l *Launcher, kind string) runtime.Instance {
	t.Helper()
	i, err := l.Launch(context.Background(), kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("closing an instance: %v", err)
		}
	})
	return i
}

// action answers an instance with code in it.
func action(t testing.TB, l *Launcher, kind, code string, with ...func(*runtime.Init)) runtime.Instance {
	t.Helper()
	i := launch(t, l, kind)
	in := &runtime.Init{
		Action: "/guest/test", Version: "0.0.1", Namespace: "guest", Code: []byte(code),
		MemoryMB: 256, Concurrency: 1, LogLimit: 1 << 20, Deadline: time.Now().Add(20 * time.Second),
	}
	for _, w := range with {
		w(in)
	}
	reply, err := i.Init(context.Background(), in)
	if err != nil || !reply.OK {
		t.Fatalf("initialising: %v, %+v", err, reply)
	}
	return i
}

func call(i runtime.Instance, args string) (*runtime.Reply, error) {
	return i.Run(context.Background(), &runtime.Run{
		ActivationID: "0123456789abcdef0123456789abcdef", TransactionID: "tid", Namespace: "guest",
		Action: "/guest/test", Version: "0.0.1", Deadline: time.Now().Add(20 * time.Second), Args: json.RawMessage(args),
	})
}

func TestQuick(t *testing.T) {
	st := time.Now()
	l := newLauncher(t, Config{})
	t.Log("new", time.Since(st))
	for _, y := range l.Layers() {
		t.Logf("%+v", y)
	}
	for _, k := range l.Kinds() {
		t.Logf("%+v", k)
	}
	for kind, code := range map[string]string{
		"nodejs:14":   `const fs=require('fs'); function main(a){console.log('hi');console.error('there'); return {a, l:fs.readdirSync('/'), p:fs.readdirSync('/proc').filter(x=>/^\d/.test(x)), uid:process.getuid(), st:fs.readFileSync('/proc/self/status','utf8'), env:process.env}}`,
		"python:3.10": "import os\ndef main(a):\n  print('hi')\n  return {'a':a,'l':os.listdir('/'),'e':dict(os.environ)}\n",
	} {
		for n := 0; n < 3; n++ {
			st := time.Now()
			i := launch(t, l, kind)
			t.Log("launch", time.Since(st))
			st = time.Now()
			r, err := i.Init(context.Background(), &runtime.Init{Code: []byte(code), MemoryMB: 256, Concurrency: 1, LogLimit: 1 << 20})
			if err != nil || !r.OK {
				t.Fatalf("%v %+v %s", err, r, r.Body)
			}
			t.Log("init", time.Since(st))
			r, err = call(i, `{"x":1}`)
			t.Log("first", time.Since(st))
			if err != nil {
				t.Fatalf("%v %+v", err, r)
			}
			if n == 2 {
				t.Logf("%s %q", r.Body, r.Logs)
			}
			st = time.Now()
			for n := 0; n < 1000; n++ {
				call(i, `{"x":1}`)
			}
			t.Log("1000", time.Since(st))
			st = time.Now()
			i.Close()
			t.Log("close", time.Since(st))
		}
	}
	os.Stdout.Sync()
}
