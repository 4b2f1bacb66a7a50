package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// counter counts what actions tell it, by the text that they send.
type counter struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int
}

func newCounter(t *testing.T) *counter {
	c := &counter{seen: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[string(text)]++
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counter) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[what]
}

const tellCode = `const http = require('http');
function main(a) {
  return new Promise((done, fail) => {
    const r = http.request(a.url, {method: 'POST'}, (s) => { s.resume(); s.on('end', () => setTimeout(() => done({n: a.n}), 20)); });
    r.on('error', fail);
    r.end('call ' + a.n);
  });
}`

// An accepted call survives kill -9: it has one record afterwards, and was carried
// out once, or at most once if the record is of an error.
func TestAcceptedCallsSurviveKill(t *testing.T) {
	s := start(t)
	c := newCounter(t)
	code := filepath.Join(t.TempDir(), "tell.js")
	if err := os.WriteFile(code, []byte(tellCode), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("wsk", "--apihost", s.rest, "--auth", guestKey, "action", "update", "tell", code, "-p", "url", c.URL)
	ids := map[string]string{}
	for round := range 4 {
		for n := range 30 + rand.IntN(30) {
			what := fmt.Sprintf(`"%d-%d"`, round, n)
			status, body := s.call("POST", s.rest+"/api/v1/namespaces/_/actions/tell", `{"n":`+what+`}`)
			var answer struct {
				ActivationID string `json:"activationId"`
			}
			if err := json.Unmarshal([]byte(body), &answer); status != 202 || err != nil {
				t.Fatalf("%d %s", status, body)
			}
			ids[answer.ActivationID] = fmt.Sprintf("call %d-%d", round, n)
		}
		_ = s.stop(syscall.SIGKILL) // its error is the signal
		http.DefaultClient.CloseIdleConnections()
		s.serve()
	}
	errors := 0
	for id, what := range ids {
		switch status := s.ended(id); {
		case status == "success" && c.of(what) != 1:
			t.Errorf("%s has succeeded and was carried out %d times", what, c.of(what))
		case status != "success" && c.of(what) > 1:
			t.Errorf("%s ended with %q and was carried out %d times", what, status, c.of(what))
		case status != "success":
			errors++
		}
	}
	t.Logf("%d calls, of which %d were interrupted", len(ids), errors)
	if errors == len(ids) {
		t.Error("no call succeeded")
	}
}

// ended waits for the end of a call and answers its status.
func (s *site) ended(id string) string {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		status, body := s.call("GET", s.rest+"/api/v1/namespaces/_/activations/"+id, "")
		var rec struct {
			State    string `json:"state"`
			Response struct {
				Status string `json:"status"`
			} `json:"response"`
		}
		if err := json.Unmarshal([]byte(body), &rec); status != 200 || err != nil {
			s.t.Fatalf("activation %s: %d %s", id, status, body)
		}
		if rec.State == "" {
			return rec.Response.Status
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("activation %s is still %s", id, rec.State)
		}
	}
}
