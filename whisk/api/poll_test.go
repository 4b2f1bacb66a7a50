package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	activationdisk "millrace/activation/disk"
)

// poller is a client that wants each activation once, when it has ended. It asks
// for all that started since some time before the last answer, page by page, and
// knows the ids that it has seen.
type poller struct {
	s     *system
	since int64
	seen  map[string]int // how often an id was reported
	start map[string]int64
}

// overlap is longer than any call of the test takes.
const overlap = 2 * time.Second

func (p *poller) poll() {
	since := max(0, p.since-overlap.Milliseconds())
	for skip := 0; ; {
		r := p.s.send("GET", fmt.Sprintf("/api/v1/namespaces/_/activations?docs=true&running=true&limit=50&skip=%d&since=%d", skip, since), "")
		page := gjson.Parse(r.body).Array()
		for _, rec := range page {
			p.look(rec)
		}
		if skip += len(page); len(page) < 50 {
			return
		}
	}
}

func (p *poller) look(rec gjson.Result) {
	id, start := rec.Get("activationId").String(), rec.Get("start").Int()
	p.since = max(p.since, start)
	switch running := rec.Get("state").String() == "running"; {
	case p.seen[id] > 0:
	case !rec.Get("end").Exists():
		if running {
			p.start[id] = start
		}
	default:
		if before, ok := p.start[id]; ok && before != start && !rec.Get(`annotations.#(key=="attempt")`).Exists() {
			p.s.t.Errorf("activation %s started at %d while it ran, at %d afterwards", id, before, start)
		}
		p.seen[id]++
	}
}

// No activation is lost to a client that polls while calls start early and end
// late, wait, fail and are tried again, and none comes twice under another id.
func TestPollLosesNothing(t *testing.T) {
	log, err := activationdisk.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s := newRealSystem(t, map[string]func(json.RawMessage) (json.RawMessage, error){
		"naps": func(args json.RawMessage) (json.RawMessage, error) {
			time.Sleep(rand.N(60 * time.Millisecond))
			return args, nil
		},
		"fails": func(json.RawMessage) (json.RawMessage, error) {
			if rand.IntN(2) == 0 {
				return nil, errors.New("boom")
			}
			return json.RawMessage(`{}`), nil
		},
	}, func(c *Config) { c.Activations = log })
	s.mustPut("actions/fails", `{"annotations":[{"key":"retries","value":{"max":5,"backoff":"20ms"}}]}`)
	before := time.Now().UnixMilli()
	var mu sync.Mutex
	ids := map[string]bool{}
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			for range 40 {
				path := []string{"naps", "naps?blocking=true", "fails", "naps?blocking=true&timeout=5"}[rand.IntN(4)]
				r := s.send("POST", "/api/v1/namespaces/_/actions/"+path, "{}")
				mu.Lock()
				ids[r.header.Get("X-Openwhisk-Activation-Id")] = true
				mu.Unlock()
			}
		})
	}
	made := make(chan struct{})
	go func() { callers.Wait(); close(made) }()
	p := &poller{s: s, since: before, seen: map[string]int{}, start: map[string]int64{}}
	for over := false; !over; time.Sleep(5 * time.Millisecond) {
		select {
		case <-made:
			over = true
		default:
		}
		p.poll()
	}
	for deadline := time.Now().Add(30 * time.Second); lost(ids, p.seen) > 0; time.Sleep(5 * time.Millisecond) {
		if p.poll(); time.Now().After(deadline) {
			t.Fatalf("of %d activations %d are lost", len(ids), lost(ids, p.seen))
		}
	}
	all := gjson.Get(s.send("GET", fmt.Sprintf("/api/v1/namespaces/_/activations?count=true&since=%d", before), "").body, "activations").Int()
	if p.poll(); int64(len(p.seen)) != all {
		t.Errorf("the client has seen %d activations, there are %d", len(p.seen), all)
	}
}

func lost(ids map[string]bool, seen map[string]int) int {
	n := 0
	for id := range ids {
		if seen[id] == 0 {
			n++
		}
	}
	return n
}
