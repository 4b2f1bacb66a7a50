package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// manyRoutes is how many routes the large configuration has, fewRoutes the small one.
const (
	manyRoutes = 100_000
	fewRoutes  = 10
)

const (
	matchName  = "route match: 100,000 routes (peer: 10 routes)"
	changeName = "100,000 routes: memory, start, one change"
)

// routeCases compare a table of many routes with one of few.
func routeCases() []loadCase {
	return []loadCase{{matchName, 0, []subject{routed("100,000 routes", manyRoutes), routed("10 routes", fewRoutes)}}}
}

// routed is a subject with n routes, which are asked for in turn.
func routed(name string, n int) subject {
	return subject{name, func(o options) (*running, error) {
		stub, addr, err := startStub(o)
		if err != nil {
			return nil, err
		}
		s, err := startRouted(o, n, addr, sharedRoute)
		if err != nil {
			stub.stop()
			return nil, err
		}
		r := &running{server: s.p, others: []*process{stub}, url: s.gateway + "/", script: filepath.Join(o.out, "routes.lua")}
		// A prime step visits all of them in an order that no cache foresees.
		script := fmt.Sprintf("local i = 0\nfunction request() i = (i + 7919) %% %d; return wrk.format(nil, '/service' .. i .. '/items/1') end\n", n)
		return r, os.WriteFile(r.script, []byte(script), 0o644)
	}}
}

// manyRoute is the i-th route: a prefix of its own and an upstream of its own.
func manyRoute(i int, addr string) (id, conf string) {
	return fmt.Sprintf("r%d", i), fmt.Sprintf(`{"name":"service %d","uri":"/service%d/items/*","methods":["GET","POST"],"upstream":{"type":"roundrobin","nodes":{%q:1}}}`, i, i, addr)
}

// sharedRoute is manyRoute with an upstream that all have in common, so that what a
// request costs beside the match is the same for few and many.
func sharedRoute(i int, _ string) (id, conf string) {
	return fmt.Sprintf("r%d", i), fmt.Sprintf(`{"name":"service %d","uri":"/service%d/items/*","methods":["GET","POST"],"upstream_id":"stub"}`, i, i)
}

// startRouted starts the binary with n routes to addr in its data folder.
func startRouted(o options, n int, addr string, form func(i int, addr string) (id, conf string)) (*site, error) {
	data, err := os.MkdirTemp(o.out, "data")
	if err != nil {
		return nil, err
	}
	if err := putRoutes(o, data, n, addr, form); err != nil {
		return nil, fmt.Errorf("creating %d routes: %w", n, err)
	}
	s, err := startMillraceOn(o, 0, data)
	if err != nil {
		return nil, err
	}
	return s, waitHTTP(s.gateway + "/service0/items/1")
}

// putRoutes fills a data folder through the Admin API. Fifty clients share the syncs.
func putRoutes(o options, data string, n int, addr string, form func(i int, addr string) (id, conf string)) error {
	o.pin = false
	s, err := startMillraceOn(o, 0, data)
	if err != nil {
		return err
	}
	defer s.p.stop()
	if err := s.send("PUT", s.admin+"/apisix/admin/upstreams/stub", fmt.Sprintf(`{"nodes":{%q:1}}`, addr)); err != nil {
		return err
	}
	const clients = 50
	errs := make([]error, clients)
	var done sync.WaitGroup
	for c := range clients {
		done.Go(func() {
			for i := c; i < n && errs[c] == nil; i += clients {
				errs[c] = s.route(form(i, addr))
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// runRoutes prints what a large configuration costs.
func runRoutes(o options) error {
	stub, addr, err := startStub(o)
	if err != nil {
		return err
	}
	defer stub.stop()
	fmt.Printf("\n%s\n", changeName)
	few, err := memoryOf(o, fewRoutes, addr)
	if err != nil {
		return err
	}
	data, err := os.MkdirTemp(o.out, "data")
	if err != nil {
		return err
	}
	if err := putRoutes(o, data, manyRoutes, addr, manyRoute); err != nil {
		return err
	}
	begin := time.Now()
	s, err := startMillraceOn(o, 0, data)
	if err != nil {
		return err
	}
	defer s.p.stop()
	if err := waitHTTP(fmt.Sprintf("%s/service%d/items/1", s.gateway, manyRoutes-1)); err != nil {
		return err
	}
	fmt.Printf("  start until the last route answers   %s, CPU %s\n", time.Since(begin).Round(time.Millisecond), s.p.usage().cpu)
	many, err := s.settled()
	if err != nil {
		return err
	}
	fmt.Printf("  memory per route                     %d bytes (%d MB in all, %d MB with %d routes)\n", (many-few)/(manyRoutes-fewRoutes), many>>20, few>>20, fewRoutes)
	return s.measureChanges(addr)
}

// memoryOf is what the server takes with n routes.
func memoryOf(o options, n int, addr string) (int64, error) {
	s, err := startRouted(o, n, addr, manyRoute)
	if err != nil {
		return 0, err
	}
	defer s.p.stop()
	return s.settled()
}

// settled is the server's memory after a collection.
func (s *site) settled() (int64, error) {
	resp, err := http.Post(s.control+"/v1/gc", "", nil)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return s.p.usage().bytes, nil
}

// measureChanges changes one route again and again, and measures how soon clients
// see it, while another client measures how long its own requests take.
func (s *site) measureChanges(addr string) error {
	const changes = 200
	quiet, err := s.probe(func() error { time.Sleep(2 * time.Second); return nil })
	if err != nil {
		return err
	}
	var live []time.Duration
	busy, err := s.probe(func() error {
		for i := range changes {
			took, err := s.changeOne(i)
			if err != nil {
				return err
			}
			live = append(live, took)
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var shared []time.Duration
	withShared, err := s.probe(func() error {
		var err error
		shared, err = s.changeShared(addr, changes)
		return err
	})
	if err != nil {
		return err
	}
	line := func(what string, times []time.Duration) {
		slices.Sort(times)
		at := func(q float64) time.Duration { return times[int(q*float64(len(times)-1))].Round(10 * time.Microsecond) }
		fmt.Printf("  %-36s p50 %s, p99 %s, p99.9 %s, longest %s (%d)\n", what, at(0.5), at(0.99), at(0.999), at(1), len(times))
	}
	line("change of a route until it is live", live)
	line("change of a route's shared upstream", shared)
	line("other requests, nothing changes", quiet)
	line("other requests, during the first", busy)
	line("other requests, during the second", withShared)
	return nil
}

// changeOne changes a route and asks until the answer is of the new form.
func (s *site) changeOne(i int) (time.Duration, error) {
	status := 201 + i%2
	conf := fmt.Sprintf(`{"uri":"/service%d/items/*","plugins":{"fault-injection":{"abort":{"http_status":%d}}}}`, manyRoutes/2, status)
	begin := time.Now()
	if err := s.route(fmt.Sprintf("r%d", manyRoutes/2), conf); err != nil {
		return 0, err
	}
	for {
		resp, err := http.Get(fmt.Sprintf("%s/service%d/items/1", s.gateway, manyRoutes/2))
		if err != nil {
			return 0, err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		took := time.Since(begin)
		if resp.StatusCode == status || took > 10*time.Second {
			return took, nil
		}
	}
}

// changeShared changes an upstream that one of the routes uses.
func (s *site) changeShared(addr string, changes int) (times []time.Duration, err error) {
	put := func(weight int) error {
		return s.send("PUT", s.admin+"/apisix/admin/upstreams/shared", fmt.Sprintf(`{"nodes":{%q:%d}}`, addr, weight))
	}
	if err := put(1); err != nil {
		return nil, err
	}
	if err := s.route("shared", `{"uri":"/shared","upstream_id":"shared"}`); err != nil {
		return nil, err
	}
	for i := range changes {
		begin := time.Now()
		if err := put(i%2 + 1); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
		time.Sleep(5 * time.Millisecond)
	}
	return times, nil
}

// probe times the requests of one client, one after the other, while during runs.
func (s *site) probe(during func() error) ([]time.Duration, error) {
	ended := make(chan error, 1)
	go func() { ended <- during() }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var times []time.Duration
	for {
		select {
		case err := <-ended:
			return times, err
		default:
		}
		begin := time.Now()
		resp, err := client.Get(s.gateway + "/service1/items/1")
		if err != nil {
			return nil, err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		times = append(times, time.Since(begin))
		time.Sleep(200 * time.Microsecond)
	}
}
