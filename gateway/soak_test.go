package gateway

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var changeCount = flag.Int("changes", 1000, "how many changes TestEachAnswerIsOfItsMoment makes")

// moment is the version of one resource that is in force, and the newest that may be.
type moment struct{ applied, pending atomic.Int64 }

// soak is a configuration of which each part has a version that shows in answers.
type soak struct {
	t        *testing.T
	r        *rig
	versions map[string]*moment
	nodes    [2]string
}

// parts say what is put for a version of each part. All of them meet in the route
// /x; the route /y comes and goes.
func (s *soak) parts() map[string]func(v int64) {
	put := func(key, format string) func(int64) {
		return func(v int64) { s.r.put(key, strings.ReplaceAll(format, "VERSION", strconv.FormatInt(v, 10))) }
	}
	upstream := func(v int64) { s.r.put("upstreams/u", `{"nodes":{"`+s.nodes[v%2]+`":1}}`) }
	return map[string]func(int64){
		"route": put("routes/x", `{"uri":"/x","service_id":"s","plugin_config_id":"p","upstream_id":"u",
			"plugins":{"test-close":{"v":VERSION},"test-auth":{},"test-change":{"answer":{"X-Route":"VERSION"}}}}`),
		"service":  put("services/s", `{"plugins":{"test-var":{"template":"VERSION"}}}`),
		"config":   put("plugin_configs/p", `{"plugins":{"test-trace-a":{"name":"config=VERSION"}}}`),
		"consumer": put("consumers/jack", `{"username":"jack","group_id":"g","plugins":{"test-auth":{"key":"k"},"test-trace-b":{"name":"consumer=VERSION"}}}`),
		"group":    put("consumer_groups/g", `{"plugins":{"test-trace-c":{"name":"group=VERSION"}}}`),
		"global":   put("global_rules/1", `{"plugins":{"test-trace-d":{"name":"global=VERSION"}}}`),
		"metadata": put("plugin_metadata/test-meta", `{"word":"VERSION"}`),
		"meta":     put("global_rules/2", `{"plugins":{"test-meta":{"v":VERSION}}}`),
		"upstream": upstream,
		"other": func(v int64) {
			if v%2 == 0 {
				s.r.put("routes/y", `{"uri":"/y","upstream_id":"u"}`)
			} else {
				s.r.delete("routes/y")
			}
		},
	}
}

// ask sends one request and checks that its answer is of a configuration that was
// in force while it was under way.
func (s *soak) ask(c *client, target string) {
	low := map[string]int64{}
	for name, m := range s.versions {
		low[name] = m.applied.Load()
	}
	c.send("GET " + target + " HTTP/1.1\r\nHost: a\r\nKey: k\r\n\r\n")
	rep, err := c.tryReply("GET")
	if err != nil {
		s.t.Errorf("%s: %v", target, err)
		return
	}
	between := func(name string, v int64) {
		if high := s.versions[name].pending.Load(); v < low[name] || v > high {
			s.t.Errorf("%s: version %d of %s was served, %d to %d were in force", target, v, name, low[name], high)
		}
	}
	// A parity tells a version only if it was the same all the time.
	parity := func(name string, got int64) {
		if high := s.versions[name].pending.Load(); high == low[name] && high%2 != got {
			s.t.Errorf("%s: %d is not of version %d of %s", target, got, high, name)
		}
	}
	if target == "/y" {
		if rep.status != 200 && rep.status != 404 {
			s.t.Errorf("/y: %s", rep.line)
		}
		parity("other", int64((rep.status-200)/204))
		return
	}
	if rep.status != 200 {
		s.t.Errorf("%s: %s %q", target, rep.line, rep.body)
		return
	}
	seen := map[string]string{"route": rep.header.Get("X-Route"), "service": rep.header.Get("X-Var"), "metadata": rep.header.Get("X-Word")}
	for _, note := range strings.Fields(rep.header.Get("X-Phases")) {
		if name, v, ok := strings.Cut(note, "="); ok {
			seen[name[1:]] = v
		}
	}
	for _, name := range []string{"route", "service", "metadata", "config", "consumer", "group", "global"} {
		v, err := strconv.ParseInt(seen[name], 10, 64)
		if err != nil {
			s.t.Errorf("%s: no version of %s in %q", target, name, rep.header)
			continue
		}
		between(name, v)
	}
	body, _ := strconv.ParseInt(rep.body, 10, 64)
	parity("upstream", body)
}

// While everything changes under load, each answer must be of the configuration of
// its moment; nothing may fail, and no request may meet a plugin that is closed.
func TestEachAnswerIsOfItsMoment(t *testing.T) {
	s := &soak{t: t, r: start(t, nil), versions: map[string]*moment{}}
	s.nodes = [2]string{ok(t, "0").addr, ok(t, "1").addr}
	parts := s.parts()
	var names []string
	for _, name := range []string{"upstream", "service", "config", "metadata", "group", "consumer", "global", "meta", "route", "other"} {
		parts[name](0)
		s.versions[name] = &moment{}
		names = append(names, name)
	}
	var clients sync.WaitGroup
	var asked atomic.Int64
	stop, answered := make(chan struct{}), make(chan struct{})
	for i := range 4 {
		c := s.r.dial()
		clients.Go(func() {
			for n := i; ; n++ {
				target := "/x"
				if n%5 == 0 {
					target = "/y"
				}
				s.ask(c, target)
				asked.Add(1)
				select {
				case <-stop:
					return
				case answered <- struct{}{}:
				}
			}
		})
	}
	for i := range *changeCount {
		<-answered // so that there are as many answers as changes
		m := s.versions[names[i%len(names)]]
		v := m.applied.Load() + 1
		m.pending.Store(v)
		parts[names[i%len(names)]](v)
		m.applied.Store(v)
	}
	close(stop)
	clients.Wait()
	s.finish(names)
	t.Logf("%d changes, %d answers", *changeCount, asked.Load())
}

// finish takes everything away and sees that no plugin is left open.
func (s *soak) finish(names []string) {
	for _, key := range []string{"routes/x", "routes/y", "global_rules/1", "global_rules/2", "consumers/jack"} {
		s.r.delete(key)
	}
	eventually(s.t, "closing the plugins", func() bool { return instances.Load() == 0 })
	if n := closedInUse.Load(); n > 0 {
		s.t.Errorf("%d times a request met a closed plugin", n)
	}
	s.r.g.merged.mu.Lock()
	defer s.r.g.merged.mu.Unlock()
	if n := len(s.r.g.merged.chains); n > 0 {
		s.t.Error(fmt.Sprint(n, " merged chains are kept of what is gone"))
	}
}
