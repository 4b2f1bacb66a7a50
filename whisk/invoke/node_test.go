package invoke

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	activationmem "millrace/activation/mem"
	"millrace/blob"
	blobmem "millrace/blob/mem"
	"millrace/whisk"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/process"
)

// nodeHouse is an invoker over Node processes, and the kind to use.
func nodeHouse(t testing.TB) (v *Invoker, blobs blob.Store, kind string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node in PATH")
	}
	l, err := process.New(process.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, k := range l.Kinds() {
		if k.Family == "nodejs" && k.Default {
			kind = k.Name
		}
	}
	blobs = blobmem.New()
	v, err = New(Config{
		Log: slog.New(slog.DiscardHandler), Launchers: []runtime.Launcher{l}, Blobs: blobs, Activations: activationmem.New(),
		WarmKinds: []string{kind},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return v, blobs, kind
}

func nodeAction(t testing.TB, blobs blob.Store, kind, code string) *whisk.Action {
	a := action("js")
	d, err := blobs.Put(context.Background(), []byte(code))
	if err != nil {
		t.Fatal(err)
	}
	a.Exec = whisk.Exec{Kind: kind, Digest: string(d)}
	a.Name = string(d)[:8]
	return a
}

func TestNode(t *testing.T) {
	v, blobs, kind := nodeHouse(t)
	for _, tc := range []struct {
		name, code string
		change     func(*whisk.Action)
		status     whisk.Status
		result     string // a prefix
		logs       string // part of them
	}{
		{"ready", `function main(){return {"ready":true}}`, nil, whisk.Success, `{"ready":true}`, ""},
		{"parameters", `function main(p){return p}`, func(a *whisk.Action) { a.Parameters = whisk.KeyValues{kv("a", "1"), kv("n", "2")} }, whisk.Success, `{"a":1,"n":0}`, ""},
		{"environment", `function main(){return {e:process.env.E}}`, func(a *whisk.Action) { a.Parameters = whisk.KeyValues{initKV("E", `{"x":1}`)} }, whisk.Success, `{"e":"{\"x\":1}"}`, ""},
		{"application error", `function main(){return {error:"mine",other:1}}`, nil, whisk.ApplicationError, `{"error":"mine"}`, ""},
		{"exception", `function main(){console.log("before"); throw new Error("boom")}`, nil, whisk.DeveloperError, `{"error":"An error has occurred: Error: boom"}`, "stdout: before"},
		{"exit", `function main(){process.exit(3)}`, nil, whisk.DeveloperError, `{"error":"The action did not produce a valid response and exited unexpectedly."}`, msgLogsMissing},
		{"bad code", `function main(`, nil, whisk.DeveloperError, `{"error":"Initialization has failed due to: `, msgLogsMissing},
		{"no end", `function main(){for(;;);}`, func(a *whisk.Action) { a.Limits.TimeoutMS = 300 }, whisk.DeveloperError, `{"error":"The action exceeded its time limits of 300 milliseconds."}`, ""},
		{"too large", `function main(){return {a:"x".repeat(1<<20)}}`, nil, whisk.ApplicationError, `{"error":"The action produced a response that exceeded the allowed length: 1048584 > 1048576 bytes. The truncated response was: {\"a\":\"xxx`, ""},
		{"bad archive", base64.StdEncoding.EncodeToString([]byte("no archive")), func(a *whisk.Action) { a.Exec.Binary = true }, whisk.DeveloperError, `{"error":"Initialization has failed due to: `, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := nodeAction(t, blobs, kind, tc.code)
			if tc.change != nil {
				tc.change(a)
			}
			rec, err := v.Invoke(context.Background(), call(a, `{"n":0}`))
			if err != nil || rec == nil {
				t.Fatal(rec, err)
			}
			if rec.Response.Status != tc.status || !strings.HasPrefix(string(rec.Response.Result), tc.result) {
				t.Errorf("got %v %.300s, want %v %s", rec.Response.Status, rec.Response.Result, tc.status, tc.result)
			}
			if logs := strings.Join(rec.Logs, "\n"); !strings.Contains(logs, tc.logs) {
				t.Errorf("logs %q lack %q", logs, tc.logs)
			}
		})
	}
}

// Calls that sleep run side by side in real processes.
func TestNodeScalesOut(t *testing.T) {
	v, blobs, kind := nodeHouse(t)
	a := nodeAction(t, blobs, kind, `const main = () => new Promise(done => setTimeout(() => done({pid: process.pid, t: Date.now()}), 500))`)
	var wg sync.WaitGroup
	var started atomic.Int64
	for range 8 {
		wg.Go(func() {
			c := call(a, `{}`)
			c.Wait = 2 * time.Minute
			rec, err := v.Invoke(context.Background(), c)
			if err != nil || rec == nil || rec.Response.Status != whisk.Success {
				t.Error(rec, err)
				return
			}
			if rec.Annotations.Find("initTime") != nil {
				started.Add(1)
			}
		})
	}
	wg.Wait()
	if started.Load() < 3 {
		t.Errorf("%d instances for 8 calls that sleep", started.Load())
	}
}

func BenchmarkNodeWarmCall(b *testing.B) {
	v, blobs, kind := nodeHouse(b)
	a := nodeAction(b, blobs, kind, `function main(){return {"ready":true}}`)
	a.Annotations = whisk.KeyValues{kv("provide-api-key", "false")}
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := call(a, "")
		c.Payload = json.RawMessage(`{}`)
		for pb.Next() {
			c.ID = NewID()
			if rec, err := v.Invoke(context.Background(), c); err != nil || rec.Response.Status != whisk.Success {
				b.Error(rec, err)
				return
			}
		}
	})
	b.ReportMetric(float64(len(v.pool.live)), "instances")
}
