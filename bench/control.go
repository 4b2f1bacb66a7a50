package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// controlCases are the operations of the REST API around calls, beside the same
// bare Node server that the calls are compared with.
func controlCases() []loadCase {
	return []loadCase{
		{"REST: read an action", 0, []subject{millrace("millrace REST", readAction), bareNode()}},
		{"REST: create and change actions, each synced to disk", 0, []subject{millrace("millrace REST", writeActions), bareNode()}},
		{"REST: the newest 200 of 100,000 actions, one client", 1, []subject{seeded("millrace REST", newestActions), bareNode()}},
		{"REST: fire a trigger with 10 rules", 0, []subject{millrace("millrace REST", fireTrigger), bareNode()}},
		{"a sequence of 3 actions (peer: one action)", 0, []subject{millrace("sequence", sequenceInvoke), millrace("one action", restInvoke)}},
	}
}

// request writes a wrk script that sends one request of the guest again and again;
// more is what else the script holds.
func (r *running) request(o options, name, method, body, more string) error {
	uuid, secret, _ := strings.Cut(guestKey, ":")
	request, err := http.NewRequest(method, r.url, nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth(uuid, secret)
	r.script = filepath.Join(o.out, name+".lua")
	return os.WriteFile(r.script, fmt.Appendf(nil, "wrk.method = %q\nwrk.body = %q\nwrk.headers['Content-Type'] = 'application/json'\nwrk.headers['Authorization'] = %q\n%s",
		method, body, request.Header.Get("Authorization"), more), 0o644)
}

func readAction(o options, s *site, r *running) error {
	r.url = s.rest + "/api/v1/namespaces/_/actions/test"
	if err := s.action("test", actionCode); err != nil {
		return err
	}
	return r.request(o, "read", "GET", "", "")
}

// writeActions changes 200 actions in turn: nobody else writes the one that a
// connection writes, or some answers would be 409.
func writeActions(o options, s *site, r *running) error {
	r.url = s.rest + "/api/v1/namespaces/_/actions/test"
	return r.request(o, "write", "PUT", `{"exec":{"kind":"nodejs:default","code":"function main() { return {} }"}}`,
		"local i = 0\nfunction request() i = (i + 1) % 200; return wrk.format(nil, '/api/v1/namespaces/_/actions/w' .. i .. '?overwrite=true') end\n")
}

func newestActions(o options, s *site, r *running) error {
	r.url = s.rest + "/api/v1/namespaces/_/actions?limit=200"
	return r.request(o, "list", "GET", "", "")
}

// fireTrigger has rules for one action, which takes no time, so that the calls
// that pile up are few.
func fireTrigger(o options, s *site, r *running) error {
	r.url = s.rest + "/api/v1/namespaces/_/triggers/t"
	errs := []error{s.action("test", actionCode), s.send("PUT", r.url, "{}")}
	for i := range 10 {
		errs = append(errs, s.send("PUT", fmt.Sprintf("%s/api/v1/namespaces/_/rules/r%d", s.rest, i), `{"trigger":"/_/t","action":"/_/test"}`))
	}
	return errors.Join(append(errs, r.request(o, "fire", "POST", `{"a":1}`, ""))...)
}

func sequenceInvoke(o options, s *site, r *running) error {
	for _, name := range []string{"a", "b", "c"} {
		if err := s.action(name, actionCode); err != nil {
			return err
		}
	}
	if err := s.send("PUT", s.rest+"/api/v1/namespaces/_/actions/abc", `{"exec":{"kind":"sequence","components":["/_/a","/_/b","/_/c"]}}`); err != nil {
		return err
	}
	r.url = s.rest + "/api/v1/namespaces/_/actions/abc?blocking=true&result=true"
	return r.request(o, "sequence", "POST", "{}", "")
}

// seeded is a subject whose namespace has 100,000 actions.
func seeded(name string, prepare func(o options, s *site, r *running) error) subject {
	return subject{name, func(o options) (*running, error) {
		data, err := seedData(o)
		if err != nil {
			return nil, fmt.Errorf("creating 100,000 actions: %w", err)
		}
		s, err := startMillraceOn(o, 2, data)
		if err != nil {
			return nil, err
		}
		r := &running{server: s.p}
		if err := prepare(o, s, r); err != nil {
			r.stop()
			return nil, err
		}
		return r, nil
	}}
}

// seedData answers a new copy of a data folder that is made once.
func seedData(o options) (string, error) {
	seed := filepath.Join(o.out, "seed")
	if _, err := os.Stat(seed); errors.Is(err, os.ErrNotExist) {
		if err := makeSeed(o, seed+".part"); err != nil {
			return "", err
		}
		if err := os.Rename(seed+".part", seed); err != nil {
			return "", err
		}
	}
	data, err := os.MkdirTemp(o.out, "data")
	if err != nil {
		return "", err
	}
	return data, exec.Command("cp", "-r", seed+"/.", data).Run()
}

func makeSeed(o options, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	o.pin = false
	s, err := startMillraceOn(o, 0, dir)
	if err != nil {
		return err
	}
	defer s.p.stop()
	const clients, each = 50, 2_000
	errs := make([]error, clients)
	var done sync.WaitGroup
	for c := range clients {
		done.Go(func() {
			for i := range each {
				if errs[c] = s.action(fmt.Sprintf("action%d", c*each+i), actionCode); errs[c] != nil {
					return
				}
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}
