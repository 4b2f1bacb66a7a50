package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const tellIDCode = `const http = require('http');
function main(a) {
  return new Promise((done, fail) => {
    const r = http.request(a.url, {method: 'POST'}, (s) => { s.resume(); s.on('end', () => done({})); });
    r.on('error', fail);
    r.end(process.env.__OW_ACTIVATION_ID);
  });
}`

// rulesOfTrigger is how many rules the trigger of TestFiresSurviveKill has.
const rulesOfTrigger = 4

// A trigger that was answered with 202 has its record after kill -9, and each call
// of its rules ends: carried out once, or at most once if its record is of an error.
func TestFiresSurviveKill(t *testing.T) {
	s := start(t)
	c := newCounter(t)
	code := filepath.Join(t.TempDir(), "tell.js")
	if err := os.WriteFile(code, []byte(tellIDCode), 0o600); err != nil {
		t.Fatal(err)
	}
	wsk := func(args ...string) {
		t.Helper()
		s.run(append([]string{"wsk", "--apihost", s.rest, "--auth", guestKey}, args...)...)
	}
	wsk("trigger", "create", "many")
	for i := range rulesOfTrigger {
		wsk("action", "create", fmt.Sprint("tell", i), code, "-p", "url", c.URL)
		wsk("rule", "create", fmt.Sprint("rule", i), "many", fmt.Sprint("tell", i))
	}
	var fires []string
	for range 3 {
		fires = append(fires, s.fireUntilKilled("many", 5+rand.IntN(30))...)
		http.DefaultClient.CloseIdleConnections()
		s.serve()
	}
	succeeded := 0
	for _, id := range fires {
		for _, call := range s.callsOf(id) {
			switch status := s.ended(call); {
			case status == "success" && c.of(call) != 1:
				t.Errorf("call %s has succeeded and was carried out %d times", call, c.of(call))
			case status != "success" && c.of(call) > 1:
				t.Errorf("call %s ended with %q and was carried out %d times", call, status, c.of(call))
			case status == "success":
				succeeded++
			}
		}
	}
	t.Logf("%d fires, %d of %d calls succeeded", len(fires), succeeded, rulesOfTrigger*len(fires))
	if succeeded == 0 {
		t.Error("no call succeeded")
	}
}

// fireUntilKilled fires a trigger from several clients, kills the server when so many
// fires have been acknowledged, and answers the ids of all that were.
func (s *site) fireUntilKilled(trigger string, acknowledged int) (ids []string) {
	s.t.Helper()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				id, err := s.fire(trigger)
				if err != nil { // it was killed
					return
				}
				mu.Lock()
				ids = append(ids, id)
				if len(ids) == acknowledged {
					_ = s.cmd.Process.Kill()
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	_ = s.stop(syscall.SIGKILL) // its error is the signal
	return ids
}

// fire fires a trigger and answers the id of its activation.
func (s *site) fire(trigger string) (id string, err error) {
	req, err := http.NewRequest("POST", s.rest+"/api/v1/namespaces/_/triggers/"+trigger, strings.NewReader(`{"a":1}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	uuid, secret, _ := strings.Cut(guestKey, ":")
	req.SetBasicAuth(uuid, secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		ActivationID string `json:"activationId"`
	}
	if err := json.Unmarshal(body, &answer); resp.StatusCode != http.StatusAccepted || err != nil {
		s.t.Errorf("firing: %d %s", resp.StatusCode, body)
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	return answer.ActivationID, nil
}

// callsOf answers the calls that a fired trigger made, from its record.
func (s *site) callsOf(id string) (calls []string) {
	s.t.Helper()
	status, body := s.call("GET", s.rest+"/api/v1/namespaces/_/activations/"+id, "")
	var rec struct{ Logs []string }
	if err := json.Unmarshal([]byte(body), &rec); status != http.StatusOK || err != nil {
		s.t.Fatalf("the record of a fired trigger: %d %s", status, body)
	}
	if len(rec.Logs) != rulesOfTrigger {
		s.t.Errorf("the trigger has %d rules, and its record says: %q", rulesOfTrigger, rec.Logs)
	}
	for _, line := range rec.Logs {
		var call struct {
			ActivationID string `json:"activationId"`
		}
		if err := json.Unmarshal([]byte(line), &call); err != nil || call.ActivationID == "" {
			s.t.Errorf("a rule did not call: %s", line)
			continue
		}
		calls = append(calls, call.ActivationID)
	}
	return calls
}
