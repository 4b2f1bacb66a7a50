package secret

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"millrace/resource"
	"millrace/store"
)

func TestReader(t *testing.T) {
	bubble(t, Settings{}, func(r *rig, m *memory) {
		reader := r.Reader(nil)
		event := func(key, value string) *store.Event {
			return &store.Event{Entry: store.Entry{Key: "/apisix/" + key, Value: []byte(value)}, Deleted: value == ""}
		}
		meet := func(e *store.Event) {
			r.Helper()
			reader.Settle(r.Context(), []store.Event{*e})
		}
		parse := func(e *store.Event, want string) {
			r.Helper()
			got, err := Parse[resource.Route](reader, e)
			if err != nil || string(got.Plugins["a"]) != want {
				r.Errorf("%s: %s, %v; want %s", e.Key, got.Plugins["a"], err, want)
			}
		}
		again := func(want ...string) {
			r.Helper()
			synctest.Wait()
			var got []string
			for _, e := range reader.Again() {
				got = append(got, e.Key)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				r.Errorf("again are %q, want %q", got, want)
			}
		}
		one := event("routes/1", `{"uri":"/","plugins":{"a":{"b":"$secret://memory/1/a/x"}}}`)
		meet(one)
		parse(one, `{"b":"1"}`)
		again()
		// Another form of it comes that is not read: what was there before stays.
		meet(event("routes/1", `{"plugins":{"a":{"b":"$secret://memory/1/a/y"}}}`))
		m.set(func() { m.documents["a"] = `{"x":"changed","y":"2"}` })
		time.Sleep(301 * time.Second)
		again("/apisix/routes/1")
		parse(one, `{"b":"changed"}`)
		// One without references is read.
		plain := event("routes/1", `{"plugins":{"a":{"b":"c"}}}`)
		meet(plain)
		parse(plain, `{"b":"c"}`)
		m.set(func() { m.documents["a"] = `{"x":"once more","y":"3"}` })
		time.Sleep(602 * time.Second)
		again()
		r.mu.Lock()
		if len(r.entries) != 0 {
			r.Errorf("%d references are still known", len(r.entries))
		}
		r.mu.Unlock()
		// The object goes, and the resource.
		meet(one)
		parse(one, `{"b":"once more"}`)
		meet(event("secrets/memory/1", ""))
		again("/apisix/routes/1")
		parse(one, `{"b":"$secret://memory/1/a/x"}`)
		meet(event("routes/1", ""))
		if len(reader.referring) != 0 || len(r.refers) != 0 {
			r.Errorf("of a deleted resource %v, %v are known", reader.referring, r.refers)
		}
		if _, err := Parse[resource.Route](reader, event("routes/2", `{`)); err == nil {
			r.Error("what is no JSON is read")
		}
	})
}
