package upstream

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"millrace/resource"
)

// passively makes nodes unhealthy by one connection that failed and healthy by one
// answer.
const passively = `"checks":{"active":{},"passive":{"healthy":{"successes":1},"unhealthy":{"tcp_failures":1,"http_failures":1,"timeouts":1}}}`

func (p *Pool) mustCompile(t *testing.T, key, conf string) *Upstream {
	t.Helper()
	c := new(resource.Upstream)
	if err := json.Unmarshal([]byte(conf), c); err != nil {
		t.Fatal(err)
	}
	u, err := p.Compile(key, c)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// report says what came of a request to a node.
func report(u *Upstream, addr string, r Result) {
	for _, n := range u.rotation.Load().nodes {
		if n.Addr == addr {
			u.Done(n, r)
		}
	}
}

func sorted(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestUnhealthyNodesAreLeftOut(t *testing.T) {
	for _, kind := range []string{"roundrobin", "chash", "least_conn", "ewma"} {
		u := NewPool(Settings{}).mustCompile(t, "/apisix/routes/1", `{"type":"`+kind+`","key":"uri","nodes":{"a:1":1,"b:1":1,"c:1":1},`+passively+`}`)
		vars := values{"uri": "x"}
		if got := sorted(order(u, vars)); got != "a:1 b:1 c:1" {
			t.Errorf("%s: %s at first", kind, got)
		}
		report(u, "a:1", Result{Broken: true})
		report(u, "b:1", Result{TimedOut: true})
		if got := order(u, vars); got != "c:1" {
			t.Errorf("%s: %s with a and b unhealthy", kind, got)
		}
		report(u, "c:1", Result{Status: 503})
		if got := sorted(order(u, vars)); got != "a:1 b:1 c:1" {
			t.Errorf("%s: %s with all unhealthy", kind, got)
		}
		report(u, "b:1", Result{Status: 200})
		if got := order(u, vars); got != "b:1" {
			t.Errorf("%s: %s when b has recovered", kind, got)
		}
		report(u, "b:1", Result{}) // the client went away
		if got := order(u, vars); got != "b:1" {
			t.Errorf("%s: %s after a request that says nothing", kind, got)
		}
		u.Close()
	}
}

// A lower priority is used when no node of the higher is well.
// Where all checks are switched off, an upstream does not want to know how its nodes do.
func TestNoChecks(t *testing.T) {
	p := NewPool(Settings{NoChecks: true})
	u := p.mustCompile(t, "/apisix/routes/1", `{"nodes":{"a:1":1,"b:1":1},`+passively+`}`)
	if got := sorted(order(u, values{})); got != "a:1 b:1" || u.Watched() || len(p.Health()) > 0 {
		t.Errorf("%s, watched %v, health %v", got, u.Watched(), p.Health())
	}
}

func TestHealthAndPriorities(t *testing.T) {
	u := NewPool(Settings{}).mustCompile(t, "/apisix/routes/1",
		`{"nodes":[{"host":"a","port":1,"weight":1},{"host":"b","port":1,"weight":1,"priority":-1}],`+passively+`}`)
	defer u.Close()
	if got := order(u, nil); got != "a:1 b:1" {
		t.Errorf("order %s", got)
	}
	report(u, "a:1", Result{Broken: true})
	if got := order(u, nil); got != "b:1" {
		t.Errorf("order %s with a unhealthy", got)
	}
}

// Only the keys of an unhealthy node move.
func TestRingWithUnhealthyNode(t *testing.T) {
	u := NewPool(Settings{}).mustCompile(t, "/apisix/routes/1",
		`{"type":"chash","key":"uri","nodes":`+ringTests[0].nodes+`,`+passively+`}`)
	defer u.Close()
	order(u, nil)
	const down = "127.0.0.1:1980"
	report(u, down, Result{Broken: true})
	for key, want := range ringTests[0].want {
		want = strings.Join(strings.Fields(strings.ReplaceAll(want, down, "")), " ")
		if got := order(u, values{"uri": key}); got != want {
			t.Errorf("key %q: %s, want %s", key, got, want)
		}
	}
}

// What is known of a node outlives a change of its upstream, and is forgotten
// with it.
func TestHealthIsCarriedOver(t *testing.T) {
	p := NewPool(Settings{})
	const key = "/apisix/upstreams/1"
	first := p.mustCompile(t, key, `{"nodes":{"a:1":1,"b:1":1},`+passively+`}`)
	if len(p.Health()) != 0 {
		t.Error("an upstream is checked before it is used")
	}
	order(first, nil)
	report(first, "a:1", Result{Broken: true})
	second := p.mustCompile(t, key, `{"nodes":{"a:1":5,"b:1":1,"c:1":1},`+passively+`}`)
	if got := sorted(order(second, nil)); got != "b:1 c:1" {
		t.Errorf("after the change: %s", got)
	}
	first.Close()
	first.Close()
	h := p.Health()[0]
	if h.Name != key || len(h.Nodes) != 3 || h.Nodes[0].Status != "unhealthy" || h.Nodes[1].Status != "healthy" {
		t.Errorf("health %+v", h)
	}
	third := p.mustCompile(t, key, `{"nodes":{"a:1":1}}`)
	second.Close()
	third.Close()
	if len(p.Health()) != 0 {
		t.Error("an upstream without checks is checked")
	}
	order(second, nil) // a request that began before may still pick
}

// A change holds for health checks at once, not when the next request comes.
func TestChecksFollowAChange(t *testing.T) {
	p := NewPool(Settings{})
	const key = "/apisix/upstreams/1"
	expect := func(what string, hosts ...string) {
		t.Helper()
		var got []string
		for _, c := range p.Health() {
			for _, n := range c.Nodes {
				got = append(got, n.Hostname)
			}
		}
		if !slices.Equal(got, hosts) {
			t.Errorf("%s: %q are checked, want %q", what, got, hosts)
		}
	}
	change := func(old *Upstream, conf string) *Upstream {
		next := p.mustCompile(t, key, conf)
		old.Close()
		return next
	}
	u := p.mustCompile(t, key, `{"nodes":{"a:1":1},`+passively+`}`)
	u = change(u, `{"nodes":{"b:1":1},`+passively+`}`)
	expect("never used")
	order(u, nil)
	u = change(u, `{"nodes":{"c:1":1,"d:1":1},`+passively+`}`)
	expect("other nodes", "c", "d")
	u = change(u, `{"type":"least_conn","nodes":{"c:1":1,"d:1":1}}`)
	expect("no checks any more")
	u = change(u, `{"nodes":{"e:1":1},`+passively+`}`)
	expect("checks again, without a request")
	u.Close()
}

// The requests that still use an upstream do not bring back its settings.
func TestOldUpstreamDoesNotCheck(t *testing.T) {
	p := NewPool(Settings{})
	const key = "/apisix/upstreams/1"
	old := p.mustCompile(t, key, `{"nodes":{"a:1":1,"b:1":1},`+passively+`}`)
	next := p.mustCompile(t, key, `{"nodes":{"c:1":1,"d:1":1},`+passively+`}`)
	order(next, nil)
	order(old, nil)
	if h := p.Health()[0]; len(h.Nodes) != 2 || h.Nodes[0].Hostname != "c" {
		t.Errorf("checked is %+v", h)
	}
	old.Close()
	next.Close()
}

// Probes ask for what requests ask for, unless the checks say otherwise.
func TestUpstreamHostOfProbes(t *testing.T) {
	for active, want := range map[string]string{`{}`: "up.test", `{"host":"probe.test"}`: "probe.test"} {
		p := NewPool(Settings{})
		u := p.mustCompile(t, "/apisix/upstreams/1",
			`{"nodes":{"a:1":1},"pass_host":"rewrite","upstream_host":"up.test","checks":{"active":`+active+`}}`)
		order(u, nil)
		if got := p.Health()[0].Nodes[0].Hostname; got != want {
			t.Errorf("%s: nodes are asked for %q, want %q", active, got, want)
		}
		u.Close()
	}
}
