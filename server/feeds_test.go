package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"millrace/config"
	"millrace/server/servertest"
)

// call posts to an entity of the functions API and answers the body.
func (s *site) call(path, body string) string {
	s.t.Helper()
	return s.must(s.send("POST", s.Functions+"/api/v1/namespaces/"+path, body)).Body
}

func (s *site) put(path, body string) {
	s.t.Helper()
	s.must(s.send("PUT", s.Functions+"/api/v1/namespaces/_/"+path, body))
}

// runs says how many activations of an action there are.
func (s *site) runs(action string) int64 {
	s.t.Helper()
	list := s.must(s.send("GET", s.Functions+"/api/v1/namespaces/_/activations?count=true&name="+action, "")).Body
	return gjson.Get(list, "activations").Int()
}

// until waits for something to come true.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

// lifecycle is what clients send to a feed.
func lifecycle(event, trigger, more string) string {
	return fmt.Sprintf(`{"authKey":%q,"lifecycleEvent":%q,"triggerName":"/_/%s"%s}`, servertest.GuestKey, event, trigger, more)
}

// The calls are those that wsk makes for trigger create --feed and rule create.
func TestAlarmFiresAndSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onDisk := func(c *config.Config) { c.Ephemeral, c.Data = false, dir }
	const alarm = "whisk.system/actions/alarms/alarm?blocking=true&result=true"

	t.Run("first run", func(t *testing.T) {
		s := start(t, onDisk)
		s.action("tick", `function main(p) { return {got: p.name} }`)
		s.put("triggers/clock", `{"annotations":[{"key":"feed","value":"/whisk.system/alarms/alarm"}]}`)
		s.put("rules/onclock", `{"trigger":"/_/clock","action":"/_/tick"}`)
		if got := s.call(alarm, lifecycle("CREATE", "clock", `,"cron":"* * * * * *","trigger_payload":{"name":"Odin"}`)); got != `{"status":"success"}` {
			t.Fatalf("CREATE answers %s", got)
		}
		until(t, "two runs of the action", func() bool { return s.runs("tick") >= 2 })
		var ended gjson.Result
		until(t, "one of them to end", func() bool {
			list := s.must(s.send("GET", s.Functions+"/api/v1/namespaces/_/activations?docs=true&name=tick", "")).Body
			ended = gjson.Get(list, "#(end>0)")
			return ended.Exists()
		})
		if got := ended.Get("response.result").Raw; got != `{"got":"Odin"}` {
			t.Errorf("the action got %s", got)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		s := start(t, onDisk)
		before := s.runs("tick")
		until(t, "another run of the action", func() bool { return s.runs("tick") > before })
		read := s.call(alarm, lifecycle("READ", "clock", ""))
		if gjson.Get(read, "config.cron").String() != "* * * * * *" || !gjson.Get(read, "status.active").Bool() {
			t.Errorf("READ answers %s", read)
		}
		s.call(alarm, lifecycle("DELETE", "clock", ""))
		if got := s.send("POST", s.Functions+"/api/v1/namespaces/"+alarm, lifecycle("READ", "clock", "")); got.Status != http.StatusBadGateway {
			t.Errorf("READ after DELETE answers %d %s", got.Status, got.Body)
		}
	})
}

// A signed request runs the action of the trigger's rule.
func TestSignedWebhook(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.action("pushed", `function main(p) { return {ref: p.ref, event: p.__ow_headers['x-github-event']} }`)
	s.put("triggers/push", `{}`)
	s.put("rules/onpush", `{"trigger":"/_/push","action":"/_/pushed"}`)
	created := s.call("whisk.system/actions/webhook/receive?blocking=true&result=true", lifecycle("CREATE", "push", ""))
	url := gjson.Get(created, "url").String()
	shown := s.must(s.send("GET", url, "")).Body
	mac := hmac.New(sha256.New, []byte(gjson.Get(shown, "secret").String()))
	const body = `{"ref":"refs/heads/main"}`
	mac.Write([]byte(body))
	for _, c := range []struct {
		signature string
		status    int
	}{{"", http.StatusUnauthorized}, {"sha256=" + hex.EncodeToString(mac.Sum(nil)), http.StatusAccepted}} {
		r, err := http.NewRequest("POST", url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Hub-Signature-256", c.signature)
		r.Header.Set("X-GitHub-Event", "push")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("with the signature %q: %d", c.signature, res.StatusCode)
		}
	}
	var result string
	until(t, "the action to run", func() bool {
		list := s.must(s.send("GET", s.Functions+"/api/v1/namespaces/_/activations?docs=true&name=pushed", "")).Body
		result = gjson.Get(list, "0.response.result").Raw
		return gjson.Get(list, "0.end").Exists()
	})
	if result != `{"ref":"refs/heads/main","event":"push"}` {
		t.Errorf("the action answered %s", result)
	}
}
