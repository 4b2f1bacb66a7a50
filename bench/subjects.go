package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	guestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	adminKey = "edd1c9f034335f136f87ad84b625c8f1"
	// answer is what every stub, route and action of the benchmark answers.
	answer     = `{"ready":true}`
	actionCode = `function main() { return {"ready": true} }`
)

// subject is one of the servers that a case compares.
type subject struct {
	name string
	// start starts it, ready for load on running.url.
	start func(o options) (*running, error)
}

// running is a started subject: the process to account, and others it needs.
type running struct {
	server *process
	url    string
	script string // wrk script, if the case needs one
	// collect has the server give back garbage, when it is posted to; "" if it has none.
	collect string
	others  []*process
}

func (r *running) stop() {
	r.server.stop()
	for _, p := range r.others {
		p.stop()
	}
}

// core answers the core to pin to, -1 for none.
func (o options) core(n int) int {
	if o.pin {
		return n
	}
	return -1
}

// workers is how many event loops a peer is given: as many as its cores.
func (o options) workers() string {
	if o.pin {
		return "1"
	}
	return "2"
}

// startStub starts the upstream that all gateways call: nginx answering from memory.
func startStub(o options) (*process, string, error) {
	port := freePort()
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %s/stub.pid; error_log stderr;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000; client_body_temp_path %[1]s/stub-body; proxy_temp_path %[1]s/stub-proxy;
  fastcgi_temp_path %[1]s/stub-f; uwsgi_temp_path %[1]s/stub-u; scgi_temp_path %[1]s/stub-s;
  server { listen 127.0.0.1:%[2]d; location / { default_type application/json; return 200 '%[3]s'; } } }
`, o.out, port, answer)
	p, err := startConfigured(o, "stub", o.core(1), conf, "nginx", "-c", "%s")
	if err != nil {
		return nil, "", err
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	return p, addr, waitHTTP("http://" + addr)
}

// startConfigured writes conf to a file and starts a command with its path in
// place of %s.
func startConfigured(o options, name string, core int, conf string, args ...string) (*process, error) {
	path := filepath.Join(o.out, name+".conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	command := make([]string, len(args))
	for i, a := range args {
		command[i] = strings.ReplaceAll(a, "%s", path)
	}
	return start(o, name, core, command...)
}

// proxyTo starts a peer that proxies everything to the stub.
func proxyTo(name string, conf func(o options, port int, stub string) string, args ...string) subject {
	return proxyOver("http://127.0.0.1", name, conf, args...)
}

// proxyOver is proxyTo for clients that come to a URL, of which the port is missing.
func proxyOver(base, name string, conf func(o options, port int, stub string) string, args ...string) subject {
	return subject{name, func(o options) (*running, error) {
		stub, addr, err := startStub(o)
		if err != nil {
			return nil, err
		}
		port := freePort()
		p, err := startConfigured(o, name, o.core(0), conf(o, port, addr), args...)
		if err != nil {
			stub.stop()
			return nil, err
		}
		r := &running{server: p, url: fmt.Sprintf("%s:%d/hello", base, port), others: []*process{stub}}
		return r, waitHTTP(r.url)
	}}
}

func nginxConf(o options, port int, stub string) string {
	return fmt.Sprintf(`daemon off; worker_processes %s; pid %s/nginx.pid; error_log stderr;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000; client_body_temp_path %[2]s/nginx-body; proxy_temp_path %[2]s/nginx-proxy;
  fastcgi_temp_path %[2]s/nginx-f; uwsgi_temp_path %[2]s/nginx-u; scgi_temp_path %[2]s/nginx-s;
  upstream stub { server %[4]s; keepalive 320; keepalive_requests 1000000; }
  server { listen 127.0.0.1:%[3]d; location / { proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme; } } }
`, o.workers(), o.out, port, stub)
}

func haproxyConf(o options, port int, stub string) string {
	return fmt.Sprintf(`global
  nbthread %s
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend in
  bind 127.0.0.1:%d
  default_backend stub
backend stub
  server s1 %s
`, o.workers(), port, stub)
}

func caddyConf(o options, port int, stub string) string {
	return fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
}
http://127.0.0.1:%d {
	reverse_proxy %s {
		transport http {
			keepalive_idle_conns_per_host 320
		}
	}
}
`, port, stub)
}

//go:embed node.js
var nodeServer string

// bareNode is a Node HTTP server that answers by itself.
func bareNode() subject {
	return subject{"node alone", func(o options) (*running, error) {
		port := freePort()
		p, err := startConfigured(o, "node", o.core(0), nodeServer, "node", "%s", strconv.Itoa(port))
		if err != nil {
			return nil, err
		}
		r := &running{server: p, url: fmt.Sprintf("http://127.0.0.1:%d/hello", port)}
		return r, waitHTTP(r.url)
	}}
}

// site is a started Millrace with its base URLs.
type site struct {
	p                                      *process
	gateway, secured, admin, control, rest string
}

// startMillrace starts the binary on free ports with a new data folder.
func startMillrace(o options, stemCells int) (*site, error) {
	data, err := os.MkdirTemp(o.out, "data")
	if err != nil {
		return nil, err
	}
	return startMillraceOn(o, stemCells, data)
}

// startMillraceOn starts the binary on free ports with a data folder.
func startMillraceOn(o options, stemCells int, data string) (*site, error) {
	gateway, secured, admin, control, rest := freePort(), freePort(), freePort(), freePort(), freePort()
	conf := fmt.Sprintf(`apisix:
  node_listen: [{ip: 127.0.0.1, port: %d}]
  ssl: {listen: [{ip: 127.0.0.1, port: %d}]}
  control: {port: %d}
plugin_attr: {prometheus: {export_addr: {ip: 127.0.0.1, port: 0}}}
deployment:
  admin: {admin_listen: {ip: 127.0.0.1, port: %d}}
functions:
  listen: 127.0.0.1:%d
  api_gateway_listen: 127.0.0.1:0
  stem_cells: %d
  limits: {invocations_per_minute: 1000000000, concurrent_invocations: 1000000000, fires_per_minute: 1000000000}
log: {level: warn}
`, gateway, secured, control, admin, rest, stemCells)
	p, err := startConfigured(o, "millrace", o.core(0), conf, o.millrace, "serve", "--config", "%s", "--data", data, "--roles", "gateway,admin,functions")
	if err != nil {
		return nil, err
	}
	url := func(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }
	s := &site{p: p, gateway: url(gateway), secured: strings.Replace(url(secured), "http:", "https:", 1), admin: url(admin), control: url(control), rest: url(rest)}
	return s, waitHTTP(s.rest + "/ping")
}

// route puts a route; conf is its JSON.
func (s *site) route(id, conf string) error {
	return s.send("PUT", s.admin+"/apisix/admin/routes/"+id, conf)
}

// action puts an action with the given code.
func (s *site) action(name, code string) error {
	text, err := json.Marshal(code)
	if err != nil {
		return err
	}
	return s.send("PUT", s.rest+"/api/v1/namespaces/_/actions/"+name+"?overwrite=true", fmt.Sprintf(`{"exec":{"kind":"nodejs:default","code":%s}}`, text))
}

func (s *site) send(method, url, body string) error {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-KEY", adminKey)
	uuid, secret, _ := strings.Cut(guestKey, ":")
	req.SetBasicAuth(uuid, secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, bytes.TrimSpace(text))
	}
	return nil
}

// openwhiskRoute is a route to an action at apiHost.
func openwhiskRoute(uri, apiHost, action string) string {
	return fmt.Sprintf(`{"uri":%q,"plugins":{"openwhisk":{"api_host":%q,"service_token":%q,"namespace":"guest","action":%q,"keepalive_pool":320}}}`,
		uri, apiHost, guestKey, action)
}

// lookPeers says which peers are missing.
func lookPeers(names ...string) error {
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			return fmt.Errorf("%w; scripts/install.sh bench installs the peers", err)
		}
	}
	return nil
}
