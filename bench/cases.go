package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// loadCase compares subjects under the same load; ratios are against the last.
type loadCase struct {
	name     string
	conns    int // 0: as the flag says
	subjects []subject
}

func loadCases() []loadCase {
	nginx := proxyTo("nginx", nginxConf, "nginx", "-c", "%s")
	return []loadCase{
		{"plain route to an HTTP stub", 0, []subject{
			millrace("millrace", plainRoute),
			proxyTo("haproxy", haproxyConf, "haproxy", "-f", "%s"),
			proxyTo("caddy", caddyConf, "caddy", "run", "--adapter", "caddyfile", "--config", "%s"),
			nginx,
		}},
		{"route with openwhisk plugin to an HTTP stub (peer: nginx plain)", 0, []subject{millrace("millrace", stubRoute), nginx}},
		{"route with openwhisk plugin, fused, to a Node action", 0, []subject{millrace("millrace fused", fusedRoute), bareNode()}},
		{"the same with one client", 1, []subject{millrace("millrace fused", fusedRoute), bareNode()}},
		{"REST blocking invoke of a Node action", 0, []subject{millrace("millrace REST", restInvoke), bareNode()}},
		{"100 actions in turn (peer: one action)", 0, []subject{millrace("100 actions", hundredActions), millrace("one action", fusedRoute)}},
	}
}

// millrace is a subject: our server, prepared for load by prepare.
func millrace(name string, prepare func(o options, s *site, r *running) error) subject {
	return subject{name, func(o options) (*running, error) {
		s, err := startMillrace(o, 2)
		if err != nil {
			return nil, err
		}
		r := &running{server: s.p, collect: s.control + "/v1/gc"}
		if err := prepare(o, s, r); err != nil {
			r.stop()
			return nil, err
		}
		return r, nil
	}}
}

func plainRoute(o options, s *site, r *running) error {
	stub, addr, err := startStub(o)
	if err != nil {
		return err
	}
	r.others, r.url = []*process{stub}, s.gateway+"/hello"
	return s.route("1", fmt.Sprintf(`{"uri":"/hello","upstream":{"nodes":{%q:1}}}`, addr))
}

func stubRoute(o options, s *site, r *running) error {
	stub, addr, err := startStub(o)
	if err != nil {
		return err
	}
	r.others, r.url = []*process{stub}, s.gateway+"/hello"
	return s.route("1", openwhiskRoute("/hello", "http://"+addr, "test"))
}

func fusedRoute(o options, s *site, r *running) error {
	r.url = s.gateway + "/hello"
	if err := s.action("test", actionCode); err != nil {
		return err
	}
	return s.route("1", openwhiskRoute("/hello", s.rest, "test"))
}

func restInvoke(o options, s *site, r *running) error {
	r.url = s.rest + "/api/v1/namespaces/_/actions/test?blocking=true&result=true"
	if err := r.request(o, "invoke", "POST", "{}", ""); err != nil {
		return err
	}
	return s.action("test", actionCode)
}

func hundredActions(o options, s *site, r *running) error {
	for i := range 100 {
		name := fmt.Sprintf("a%d", i)
		if err := s.action(name, actionCode); err != nil {
			return err
		}
		if err := s.route(name, openwhiskRoute("/"+name, s.rest, name)); err != nil {
			return err
		}
		if err := waitHTTP(s.gateway + "/" + name); err != nil {
			return err
		}
	}
	r.url, r.script = s.gateway+"/a0", filepath.Join(o.out, "turn.lua")
	return os.WriteFile(r.script, []byte("local i = 0\nfunction request() i = (i + 1) % 100; return wrk.format(nil, '/a' .. i) end\n"), 0o644)
}

// runCases runs what the -only flag selects and prints a table a case.
func runCases(o options) error {
	if err := lookPeers("wrk", "h2load", "nginx", "haproxy", "caddy", "node", "taskset"); err != nil {
		return err
	}
	for _, c := range slices.Concat(loadCases(), frontCases(), http2Cases(), routeCases(), controlCases()) {
		if o.only.MatchString(c.name) {
			if err := runLoad(o, c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	for _, special := range slices.Concat([]specialCase{{changeName, runRoutes}, {coldName, runCold}}, idleCases()) {
		if !o.only.MatchString(special.name) {
			continue
		}
		if err := special.run(o); err != nil {
			return fmt.Errorf("%s: %w", special.name, err)
		}
	}
	return nil
}

// specialCase is one that is no load, and prints for itself.
type specialCase struct {
	name string
	run  func(options) error
}

// runLoad starts each subject anew for every round, in turn.
func runLoad(o options, c loadCase) error {
	conns := c.conns
	if conns == 0 {
		conns = o.conns
	}
	rounds := make([][]sample, len(c.subjects))
	for range o.rounds {
		for i, sub := range c.subjects {
			s, err := runRound(o, sub, conns)
			if err != nil {
				return fmt.Errorf("%s: %w", sub.name, err)
			}
			rounds[i] = append(rounds[i], s)
		}
	}
	results := make([]sample, len(rounds))
	for i := range rounds {
		results[i] = median(rounds[i])
	}
	printTable(c, results)
	return nil
}

func runRound(o options, sub subject, conns int) (sample, error) {
	r, err := sub.start(o)
	if err != nil {
		return sample{}, err
	}
	defer r.stop()
	warm := o
	warm.duration = time.Second
	if _, err := measure(warm, r.server, conns, r.url, r.script); err != nil {
		return sample{}, err
	}
	return measure(o, r.server, conns, r.url, r.script)
}

func printTable(c loadCase, results []sample) {
	fmt.Printf("\n%s\n", c.name)
	fmt.Printf("  %-15s %10s %9s %9s %9s %8s %7s   %s\n", "", "requests/s", "p50", "p99", "CPU/req", "memory", "failed", "ratio to the last: rate, CPU/req")
	base := results[len(results)-1]
	for i, s := range results {
		fmt.Printf("  %-15s %10.0f %9s %9s %9s %5d MB %7d   %.2f  %.2f\n", c.subjects[i].name, s.rps, s.p50, s.p99,
			s.cpu.Round(100*time.Nanosecond), s.bytes>>20, s.failed, s.rps/base.rps, float64(s.cpu)/float64(base.cpu))
	}
}

const coldName = "cold start"

// runCold measures first calls of new actions, one client, sequentially: with
// stem cells ready and with none; against starting a bare Node for each.
func runCold(o options) error {
	fmt.Printf("\n%s: first call of a new action, one client (p50, p99)\n", coldName)
	const calls = 60
	for _, c := range []struct {
		name      string
		stemCells int
	}{{"from a stem cell", 2}, {"from nothing", 0}} {
		s, err := startMillrace(o, c.stemCells)
		if err != nil {
			return err
		}
		times, err := coldCalls(s, calls)
		s.p.stop()
		if err != nil {
			return err
		}
		printTimes(c.name, times)
	}
	var times []time.Duration
	for range 20 {
		begin := time.Now()
		r, err := bareNode().start(o)
		if err != nil {
			return err
		}
		times = append(times, time.Since(begin))
		r.stop()
	}
	printTimes("bare node, until it answers", times)
	return nil
}

// coldCalls creates actions and times the first call of each through a route.
func coldCalls(s *site, calls int) ([]time.Duration, error) {
	var times []time.Duration
	for i := range calls {
		name := fmt.Sprintf("cold%d", i)
		if err := s.action(name, actionCode); err != nil {
			return nil, err
		}
		if err := s.route(name, openwhiskRoute("/"+name, s.rest, name)); err != nil {
			return nil, err
		}
		time.Sleep(250 * time.Millisecond) // the stem cell used by the last call has been replaced
		begin := time.Now()
		resp, err := http.Get(s.gateway + "/" + name)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			return nil, fmt.Errorf("first call of %s: %s: %s", name, resp.Status, text)
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

func printTimes(name string, times []time.Duration) {
	slices.Sort(times)
	fmt.Printf("  %-28s %10s %10s\n", name, times[len(times)/2].Round(10*time.Microsecond), times[len(times)*99/100].Round(10*time.Microsecond))
}
