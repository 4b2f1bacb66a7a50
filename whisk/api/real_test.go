package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	blobmem "millrace/blob/mem"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/runtimetest"
)

// newRealSystem stands on the real invoker; actions are Go functions, named by
// their code.
func newRealSystem(t *testing.T, funcs map[string]func(json.RawMessage) (json.RawMessage, error), change ...func(*Config)) *system {
	t.Helper()
	launcher := runtimetest.NewInProcess(funcs)
	limits := whisk.DefaultSystemLimits()
	s := newSystem(t, func(c *Config) {
		for _, apply := range change {
			apply(c)
		}
		blobs := blobmem.New()
		var err error
		if c.Catalog, err = catalog.Open(t.Context(), c.Log, storemem.New(), blobs); err != nil {
			t.Fatal(err)
		}
		c.Manifest = manifestOf(t, launcher.Kinds())
		invoker, err := invoke.New(invoke.Config{
			Log: slog.New(slog.DiscardHandler), Launchers: []runtime.Launcher{launcher},
			Blobs: blobs, Activations: c.Activations, Limits: &limits, Actions: c.Catalog,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Invoker, c.Queue = invoker, invoker
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- invoker.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	for name := range funcs {
		s.mustPut("actions/"+name, `{"exec":{"kind":"go:default","code":"`+name+`"},"parameters":[{"key":"own","value":1}]}`)
	}
	return s
}

func TestCallsThroughTheRealInvoker(t *testing.T) {
	release := make(chan struct{})
	s := newRealSystem(t, map[string]func(json.RawMessage) (json.RawMessage, error){
		"echoes": func(args json.RawMessage) (json.RawMessage, error) { return args, nil },
		"fails": func(json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"error":"boom","more":1}`), nil
		},
		"waits": func(json.RawMessage) (json.RawMessage, error) {
			<-release
			return json.RawMessage(`{"late":true}`), nil
		},
	})
	const path = "/api/v1/namespaces/_/"
	for _, st := range []step{
		{"POST", "actions/echoes?blocking=true&result=true", `{"a":1}`, 200, `{"own":1,"a":1}`},
		{"POST", "actions/fails?blocking=true&result=true", "", 502, `{"error":"boom"}`},
	} {
		if r := s.send(st.method, path+st.path, st.body); r.status != st.status || r.body != st.want {
			t.Errorf("%s: %d %s", st.path, r.status, r.body)
		}
	}
	for _, query := range []string{"", "?blocking=true&timeout=1"} {
		r := s.send("POST", path+"actions/waits"+query, "")
		id := r.header.Get("X-Openwhisk-Activation-Id")
		if r.status != 202 || r.body != fmt.Sprintf(`{"activationId":"%s"}`, id) {
			t.Fatalf("waits%s: %d %s", query, r.status, r.body)
		}
		running := func(r reply) bool { return r.status == 200 && strings.Contains(r.body, `"status":"running"`) }
		s.eventually("the record of "+query, path+"activations/"+id, running)
	}
	close(release)
	s.eventually("the end of both", path+"activations?name=waits&docs=true", func(r reply) bool {
		return strings.Count(r.body, `"result":{"late":true}`) == 2
	})
}

func (s *system) eventually(what, path string, ok func(reply) bool) {
	s.t.Helper()
	var r reply
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if r = s.send("GET", path, ""); ok(r) {
			return
		}
	}
	s.t.Fatalf("%s: %d %s", what, r.status, r.body)
}
