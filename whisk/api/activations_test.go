package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/whisk"
)

// A request for what still runs is answered when it has ended.
func TestRecordOfRunningCallIsAwaited(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.RecordWait = time.Hour })
	const id = "0123456789abcdef0123456789abcdef"
	rec := whisk.Activation{
		Namespace: "guest", Name: "a", ID: id, Start: 1000,
		Response: whisk.Response{Status: whisk.Running},
	}
	running := rec
	s.invoke.log.Put(&running)
	paths := map[string]string{"": `"end":1001,`, "/logs": `{"logs":["line"]}`, "/result": `{"result":{},"status":"success","success":true}`}
	got := make(chan [2]string, len(paths))
	for path := range paths {
		go func() {
			r := s.send("GET", "/api/v1/namespaces/_/activations/"+id+path, "")
			got <- [2]string{path, r.body}
		}()
	}
	select {
	case r := <-got:
		t.Fatalf("answered while it runs: %s", r)
	case <-time.After(3 * lastLook / 2):
	}
	rec.End, rec.Logs, rec.Response = 1001, []string{"line"}, whisk.Response{Result: json.RawMessage("{}")}
	s.invoke.log.Put(&rec)
	for range paths {
		r := <-got
		if want := paths[r[0]]; r[0] == "" && !strings.Contains(r[1], want) || r[0] != "" && r[1] != want {
			t.Errorf("%s: got %s, want %s", r[0], r[1], want)
		}
	}
}

// A client that goes away ends the wait.
func TestAwaitEndWithoutClient(t *testing.T) {
	a, f := newAPI(t, func(c *Config) { c.RecordWait = time.Hour })
	rec := &whisk.Activation{Namespace: "guest", ID: "i", Response: whisk.Response{Status: whisk.Running}}
	f.log.Put(rec)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := a.awaitEnd(ctx, "guest", "i"); err != nil && ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}

// Clients that list a namespace ask for its triggers and rules too.
func TestEmptyCollections(t *testing.T) {
	s := newSystem(t, nil)
	const malformed = "The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for "
	for _, c := range []string{"triggers", "rules"} {
		s.run([]step{
			{"GET", "…/" + c, "", 200, `[]`},
			{"GET", "…/" + c + "/?limit=0&skip=0", "", 200, `[]`},
			{"GET", "…/" + c + "?count=true&skip=3", "", 200, `{"` + c + `":0}`},
			{"GET", "…/" + c + "?limit=201", "", 400, failed(malformed + c + ".")},
			{"GET", "…/" + c + "?skip=x", "", 400, failed("The query parameter 'skip' was malformed:\nThe value 'x' is not an integer for " + c + ".")},
			{"GET", "…/" + c + "?count=x", "", 400, failed("The query parameter 'count' was malformed:\n'x' is not a valid Boolean value")},
			{"GET", "/api/v1/namespaces/stranger/" + c, "", 403, failed(whisk.MsgForbidden("stranger"))},
			{"GET", "…/" + c + "/x", "", http.StatusNotFound, failed(whisk.MsgNotFound)},
		})
	}
}
