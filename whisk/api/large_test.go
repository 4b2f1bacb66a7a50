package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/whisk"
	"millrace/whisk/request"
)

// putLarge puts n records that have a megabyte of logs each.
func (s *system) putLarge(n int) (ids []string) {
	for i := range n {
		rec := &whisk.Activation{
			Namespace: "guest", Name: "a", ID: fmt.Sprintf("%032x", i), Start: int64(1000 + i), End: int64(2000 + i),
			Logs: []string{strings.Repeat("x", 1<<20)}, Response: whisk.Response{Result: json.RawMessage("{}")},
		}
		s.invoke.log.Put(rec)
		ids = append(ids, rec.ID)
	}
	return ids
}

// A list that is too large for memory is sent record by record, and is the list of
// what the records are one by one.
func TestLargeList(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.Meter = request.NewMeter() })
	ids := s.putLarge(4)
	const path = "/api/v1/namespaces/_/activations"
	var all []string
	for i := range ids {
		all = append(all, s.send("GET", path+"/"+ids[len(ids)-1-i], "").body)
	}
	if got := s.send("GET", path+"?docs=true", ""); got.status != 200 || got.body != "["+strings.Join(all, ",")+"]" {
		t.Errorf("%d, %d bytes: not the list of the %d records", got.status, len(got.body), len(ids))
	}
	if got := s.send("GET", path+"?docs=true&limit=1", ""); got.status != 200 || got.body != "["+all[0]+"]" {
		t.Errorf("of one record: %d, %d bytes", got.status, len(got.body))
	}
}

// Answers that are too many at once are refused, each for itself, and what they
// took is given back.
func TestTooMuchAtOnce(t *testing.T) {
	meter := request.NewMeter()
	s := newSystem(t, func(c *Config) { c.Meter = meter })
	ids := s.putLarge(4)
	const most = 256 << 20
	if err := meter.Take("guest", most); err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/namespaces/_/activations"
	large := `{"exec":{"kind":"nodejs:20","code":"` + strings.Repeat("x", 1<<20) + `"}}`
	for _, r := range []struct{ method, path, body string }{
		{"GET", path + "/" + ids[0], ""}, {"GET", path + "/" + ids[0] + "/logs", ""}, {"GET", path + "?docs=true", ""},
		{"PUT", "/api/v1/namespaces/_/actions/large", large},
	} {
		if got := s.send(r.method, r.path, r.body); got.status != 429 || !strings.Contains(got.body, whisk.MsgTooMuchAtOnce) {
			t.Errorf("%s %s: %d, %.200s", r.method, r.path, got.status, got.body)
		}
	}
	if got := s.send("GET", path, ""); got.status != 200 {
		t.Errorf("what is small: %d, %s", got.status, got.body)
	}
	if got := s.send("GET", path+"/"+ids[0], "", "Authorization", basic(strangerKey)); got.status == 429 {
		t.Errorf("another namespace: %d, %s", got.status, got.body)
	}
	meter.Give("guest", most)
	if got := s.send("PUT", "/api/v1/namespaces/_/actions/large", large); got.status != 200 {
		t.Fatalf("after that: %d, %.200s", got.status, got.body)
	}
	s.send("GET", path+"?docs=true", "")
	for deadline := time.Now().Add(30 * time.Second); meter.Take("guest", most) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) { // the last one is given back after the answer
			t.Fatal("not all was given back")
		}
	}
}
