package upstream

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/expr"
	"millrace/resource"
)

// values are the variables of a request.
type values map[string]string

func (v values) Var(name string) expr.Value {
	text, ok := v[name]
	return expr.Value{Text: text, Present: ok}
}

// order picks until no node is left.
func order(u *Upstream, vars Vars) string {
	var tried Tried
	var addrs []string
	for n := u.Pick(tried, vars); n != nil; n = u.Pick(tried, vars) {
		u.Done(n, Result{})
		tried = append(tried, n)
		addrs = append(addrs, n.Addr)
	}
	return strings.Join(addrs, " ")
}

// ringTests were made by a program of its own from spec/gateway.md §7.6, which
// computes the checksums bit by bit: the nodes in the order in which a key is
// tried at them.
var ringTests = []struct {
	nodes string
	want  map[string]string
}{
	{`{"127.0.0.1:1980":1,"127.0.0.1:1981":1,"127.0.0.1:1982":1}`, map[string]string{
		"":                                 "127.0.0.1:1982 127.0.0.1:1980 127.0.0.1:1981",
		"1":                                "127.0.0.1:1982 127.0.0.1:1981 127.0.0.1:1980",
		"2":                                "127.0.0.1:1980 127.0.0.1:1981 127.0.0.1:1982",
		"3":                                "127.0.0.1:1980 127.0.0.1:1982 127.0.0.1:1981",
		"/hello":                           "127.0.0.1:1981 127.0.0.1:1980 127.0.0.1:1982",
		"jack":                             "127.0.0.1:1981 127.0.0.1:1980 127.0.0.1:1982",
		"10.20.30.40":                      "127.0.0.1:1980 127.0.0.1:1982 127.0.0.1:1981",
		"sessionid=987654":                 "127.0.0.1:1982 127.0.0.1:1981 127.0.0.1:1980",
		"long key with spaces and ümlauts": "127.0.0.1:1982 127.0.0.1:1980 127.0.0.1:1981",
		"user-12345":                       "127.0.0.1:1980 127.0.0.1:1981 127.0.0.1:1982",
	}},
	{`{"10.0.0.1:80":4,"10.0.0.2:80":2}`, map[string]string{
		"":            "10.0.0.1:80 10.0.0.2:80",
		"1":           "10.0.0.2:80 10.0.0.1:80",
		"/hello":      "10.0.0.1:80 10.0.0.2:80",
		"jack":        "10.0.0.2:80 10.0.0.1:80",
		"10.20.30.40": "10.0.0.2:80 10.0.0.1:80",
		"user-12345":  "10.0.0.1:80 10.0.0.2:80",
	}},
	{`{"a.example:8080":1,"b.example:8080":3,"[::1]:80":2}`, map[string]string{
		"":            "a.example:8080 [::1]:80 b.example:8080",
		"1":           "b.example:8080 [::1]:80 a.example:8080",
		"2":           "[::1]:80 b.example:8080 a.example:8080",
		"3":           "b.example:8080 a.example:8080 [::1]:80",
		"/hello":      "a.example:8080 b.example:8080 [::1]:80",
		"10.20.30.40": "[::1]:80 b.example:8080 a.example:8080",
		"user-12345":  "b.example:8080 a.example:8080 [::1]:80",
	}},
}

func TestRing(t *testing.T) {
	for _, test := range ringTests {
		u := compile(t, `{"type":"chash","key":"uri","nodes":`+test.nodes+`}`)
		for key, want := range test.want {
			if got := order(u, values{"uri": key}); got != want {
				t.Errorf("%s, key %q: %s, want %s", test.nodes, key, got, want)
			}
		}
	}
}

func TestRingOfOddWeights(t *testing.T) {
	for nodes, want := range map[string]string{`{"a:1":0,"b:1":0}`: "a:1 b:1", `{"a:1":0,"b:1":5}`: "b:1"} {
		u := compile(t, `{"type":"chash","key":"uri","nodes":`+nodes+`}`)
		if got := sorted(order(u, values{"uri": "x"})); got != want {
			t.Errorf("%s: %v", nodes, got)
		}
	}
	b := &cHash{nodes: compile(t, `{"nodes":{"a:1":1000000007,"b:1":999983}}`).nodes}
	b.place(10000)
	of := [2]int{}
	for _, p := range b.points {
		of[p.node]++
	}
	if of[0] < 9980 || of[0] > 10000 || of[1] < 1 || of[1] > 20 {
		t.Errorf("%v points", of)
	}
}

// A request without the key goes by the client's address.
func TestHashKeys(t *testing.T) {
	vars := values{
		"remote_addr": "10.20.30.40", "uri": "/hello", "http_x_user": "jack", "cookie_sid": "1",
		"consumer_name": "3", "arg_a": "user",
	}
	const nodes = `{"127.0.0.1:1980":1,"127.0.0.1:1981":1,"127.0.0.1:1982":1}`
	for conf, key := range map[string]string{
		`"key":"uri"`:                                               "/hello",
		`"hash_on":"vars","key":"arg_none"`:                         "10.20.30.40",
		`"hash_on":"header","key":"X-User"`:                         "jack",
		`"hash_on":"header","key":"X-None"`:                         "10.20.30.40",
		`"hash_on":"cookie","key":"sid"`:                            "1",
		`"hash_on":"consumer"`:                                      "3",
		`"hash_on":"vars_combinations","key":"${arg_a}-12345"`:      "user-12345",
		`"hash_on":"vars_combinations","key":"$arg_none$http_none"`: "10.20.30.40",
	} {
		u := compile(t, `{"type":"chash",`+conf+`,"nodes":`+nodes+`}`)
		if got, want := order(u, vars), ringTests[0].want[key]; got != want {
			t.Errorf("%s: %s, want %s", conf, got, want)
		}
	}
}

func TestLeastConn(t *testing.T) {
	pool := NewPool(Settings{})
	conf := new(resource.Upstream)
	if err := json.Unmarshal([]byte(`{"type":"least_conn","nodes":{"a:1":1,"b:1":2,"c:1":0}}`), conf); err != nil {
		t.Fatal(err)
	}
	u, err := pool.Compile("/apisix/upstreams/1", conf)
	if err != nil {
		t.Fatal(err)
	}
	held := map[string][]*Node{}
	for range 9 {
		n := u.Pick(nil, nil)
		held[n.Addr] = append(held[n.Addr], n)
	}
	if len(held["a:1"]) != 3 || len(held["b:1"]) != 6 {
		t.Fatalf("%d and %d requests at weights 1 and 2", len(held["a:1"]), len(held["b:1"]))
	}
	// The counts outlive a change of the configuration.
	next, err := pool.Compile("/apisix/upstreams/1", conf)
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	for _, n := range held["a:1"] {
		u.Done(n, Result{})
	}
	for range 3 {
		if n := next.Pick(nil, nil); n.Addr != "a:1" {
			t.Errorf("picked %s, which has more requests", n.Addr)
		}
	}
	next.Close()
	if len(pool.shared) != 0 {
		t.Error("an upstream that is no longer configured is remembered")
	}
	if got := order(compile(t, `{"type":"least_conn","nodes":{"a:1":1}}`), nil); got != "a:1" {
		t.Errorf("a single node: %s", got)
	}
}

// Requests one after another are spread over equal nodes.
func TestLeastConnSpreads(t *testing.T) {
	u := compile(t, `{"type":"least_conn","nodes":{"a:1":1,"b:1":1,"c:1":1}}`)
	seen := map[string]int{}
	for range 9 {
		n := u.Pick(nil, nil)
		seen[n.Addr]++
		u.Done(n, Result{})
	}
	if len(seen) != 3 || seen["a:1"] != 3 {
		t.Errorf("%v", seen)
	}
}

func TestEWMA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := compile(t, `{"type":"ewma","nodes":{"slow:1":100,"fast:1":1}}`)
		took := map[string]time.Duration{"slow:1": time.Second, "fast:1": time.Millisecond}
		for range 20 {
			n := u.Pick(nil, nil)
			u.Done(n, Result{Status: 200, Took: took[n.Addr]})
			time.Sleep(time.Millisecond)
		}
		for range 20 {
			if n := u.Pick(nil, nil); n.Addr != "fast:1" {
				t.Fatalf("picked %s", n.Addr)
			}
		}
		if got := len(strings.Fields(order(u, nil))); got != 2 {
			t.Errorf("%d nodes tried", got)
		}
	})
}

func TestLatency(t *testing.T) {
	var l latency
	start := time.Now()
	l.add(2*time.Second, start)
	if got := l.at(start); got != 2 {
		t.Errorf("the first latency counts %v", got)
	}
	l.add(4*time.Second, start.Add(decay))
	e := math.Exp(-1)
	if got, want := l.at(start.Add(decay)), 2*e+4*(1-e); math.Abs(got-want) > 1e-9 {
		t.Errorf("mean %v, want %v", got, want)
	}
}

// The walk of lua-resty-roundrobin by hand: it begins behind the node that counts
// as picked last, and lower if that is the last of the list.
func TestRoundRobinOrder(t *testing.T) {
	u := compile(t, `{"nodes":[{"host":"a","weight":100},{"host":"b","weight":300},{"host":"c","weight":200}]}`)
	long := compile(t, `{"nodes":[{"host":"a","weight":10007},{"host":"b","weight":1},{"host":"c","weight":1}]}`)
	for last, want := range []string{"b b c a b c b b", "b c a b c b b c", "b c a b c b b c"} {
		b := newRoundRobinAfter(u.nodes, last)
		var got []string
		for range 8 {
			got = append(got, b.Pick(nil, nil).host)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("behind node %d: %s, want %s", last, s, want)
		}
	}
	b := newRoundRobinAfter(long.nodes, 0)
	seen := map[string]int{}
	for range 2 * 10009 {
		seen[b.Pick(nil, nil).host]++
	}
	if seen["a"] != 2*10007 || seen["b"] != 2 || seen["c"] != 2 {
		t.Errorf("long cycle: %v", seen)
	}
	if n := b.Pick(Tried{long.nodes[0], long.nodes[1]}, nil); n != long.nodes[2] {
		t.Errorf("of a long cycle %v is picked", n)
	}
}

func TestPicksAtOnce(t *testing.T) {
	for _, kind := range []string{"roundrobin", "chash", "least_conn", "ewma"} {
		u := compile(t, `{"type":"`+kind+`","key":"uri","nodes":{"a:1":1,"b:1":2,"c:1":3}}`)
		var running sync.WaitGroup
		for i := range 4 {
			running.Go(func() {
				for range 200 {
					n := u.Pick(nil, values{"uri": strconv.Itoa(i)})
					u.Done(n, Result{Status: 200, Took: time.Millisecond})
				}
			})
		}
		running.Wait()
	}
}

func BenchmarkPick(b *testing.B) {
	vars := Vars(values{"uri": "/hello/world", "remote_addr": "127.0.0.1"})
	for _, kind := range []string{"roundrobin", "chash", "least_conn", "ewma"} {
		b.Run(kind, func(b *testing.B) {
			conf := new(resource.Upstream)
			if err := json.Unmarshal([]byte(`{"type":"`+kind+`","key":"uri","nodes":{"a:1":1,"b:1":2,"c:1":3}}`), conf); err != nil {
				b.Fatal(err)
			}
			u, err := NewPool(Settings{}).Compile("", conf)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				n := u.Pick(nil, vars)
				u.Done(n, Result{Status: 200, Took: time.Millisecond})
			}
		})
	}
}
