package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/config"
	"millrace/server/servertest"
)

var soakTime = flag.Duration("soak", 1500*time.Millisecond, "how long TestSoak lasts")

// part is one thing that is changed again and again: the version in force, and the
// newest that may be.
type part struct {
	put              func(v int64) error
	applied, pending atomic.Int64
}

// between tells whether a version was in force since low was read.
func (p *part) between(low, v int64) bool { return v >= low && v <= p.pending.Load() }

// soak is the whole system under mixed traffic, while all that is configured
// changes and upstreams fail.
type soak struct {
	t        *testing.T
	site     *servertest.Site
	parts    map[string]*part
	names    []string
	backends [2]*backend
	flaky    *flaky
	secured  string // address of the TLS listener
	pairs    [2][2]string

	requests, changes, failed, doubled, misrouted, retried atomic.Int64
}

// backend is an upstream that says what it was asked, and counts requests that come twice.
type backend struct {
	name string
	addr string
	soak *soak

	mu   sync.Mutex
	seen map[string]bool
}

// seenAnswer is what a backend answers.
type seenAnswer struct {
	Backend, Path, Service, Consumer string
	Length                           int
}

func (s *soak) startBackend(name string) *backend {
	b := &backend{name: name, soak: s, seen: map[string]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	b.addr = l.Addr().String()
	server := &http.Server{Handler: b}
	go server.Serve(l)
	s.t.Cleanup(func() { server.Close() })
	return b
}

// once counts requests that were sent twice although none of them failed.
func (b *backend) once(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) > 100_000 {
		clear(b.seen)
	}
	if id != "" && b.seen[id] {
		b.soak.doubled.Add(1)
		b.soak.t.Errorf("request %s came twice", id)
	}
	b.seen[id] = true
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.once(r.Header.Get("X-Id"))
	switch {
	case strings.HasPrefix(r.URL.Path, "/events"):
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	case strings.HasPrefix(r.URL.Path, "/socket"):
		b.upgrade(w)
	case strings.HasPrefix(r.URL.Path, "/big"):
		io.Copy(w, r.Body)
	default:
		n, _ := io.Copy(io.Discard, r.Body)
		json.NewEncoder(w).Encode(seenAnswer{b.name, r.URL.Path, r.Header.Get("X-Service"), r.Header.Get("X-Consumer-Custom-Id"), int(n)})
	}
}

// upgrade takes the connection over and sends back what comes.
func (b *backend) upgrade(w http.ResponseWriter) {
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	io.Copy(conn, in)
}

// flaky is an upstream that is there or not, answers at once or late, or breaks off.
type flaky struct {
	addr string
	mode atomic.Int64
	mu   sync.Mutex
	l    net.Listener
}

const (
	modeWell = iota
	modeSlow
	modeReset
	modeAway
	modes
)

func startFlaky(t *testing.T) *flaky {
	f := &flaky{}
	if err := f.listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.addr = f.l.Addr().String()
	t.Cleanup(func() { f.mode.Store(modeAway); f.l.Close() })
	return f
}

func (f *flaky) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	f.l = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return nil
}

func (f *flaky) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		switch f.mode.Load() {
		case modeSlow:
			time.Sleep(20 * time.Millisecond)
		case modeReset:
			conn.(*net.TCPConn).SetLinger(0)
			return
		case modeAway:
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nflaky"); err != nil {
			return
		}
	}
}

// turn changes what the upstream does.
func (f *flaky) turn(mode int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.mode.Swap(mode)
	switch {
	case mode == modeAway && before != modeAway:
		return f.l.Close()
	case mode != modeAway && before == modeAway:
		return f.listen(f.addr)
	}
	return nil
}

func (s *soak) admin(method, path, body string) error {
	req, err := http.NewRequest(method, s.site.Admin+"/apisix/admin/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-API-KEY", servertest.AdminKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode > 299 {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return nil
}

// add names a part whose configuration has VERSION in it.
func (s *soak) add(name, path, body string) {
	s.addFunc(name, func(v int64) error {
		return s.admin("PUT", path, strings.ReplaceAll(body, "VERSION", strconv.FormatInt(v, 10)))
	})
}

func (s *soak) addFunc(name string, put func(v int64) error) {
	s.parts[name] = &part{put: put}
	s.names = append(s.names, name)
}

// configure puts the first version of everything. All parts meet in the route /x/*.
func (s *soak) configure() {
	s.addFunc("upstream", func(v int64) error {
		return s.admin("PUT", "upstreams/u", `{"type":"roundrobin","nodes":{"`+s.backends[v%2].addr+`":1}}`)
	})
	s.add("service", "services/s", `{"upstream_id":"u","enable_websocket":true,"plugins":{"proxy-rewrite":{"headers":{"set":{"X-Service":"VERSION"}}}}}`)
	s.add("config", "plugin_configs/p", `{"plugins":{"limit-count":{"count":1000000VERSION,"time_window":60}}}`)
	s.add("group", "consumer_groups/g", `{"plugins":{"cors":{"expose_headers":"g-VERSION"}}}`)
	s.add("consumer", "consumers/jack", `{"username":"jack","group_id":"g","labels":{"custom_id":"VERSION"},"plugins":{"key-auth":{"key":"k"}}}`)
	s.add("route", "routes/x", `{"uris":["/x/*","/events","/socket","/big"],"service_id":"s","plugin_config_id":"p","plugins":{"key-auth":{},"response-rewrite":{"headers":{"set":{"X-Route":"VERSION"}}}}}`)
	s.add("global", "global_rules/1", `{"plugins":{"prometheus":{},"request-id":{"header_name":"X-Global-VERSION"}}}`)
	s.addFunc("ssl", func(v int64) error {
		pair := s.pairs[v%2]
		doc, _ := json.Marshal(map[string]any{"sni": "soak.test", "cert": pair[0], "key": pair[1]})
		return s.admin("PUT", "ssls/1", string(doc))
	})
	s.addFunc("other", func(v int64) error {
		if v%2 == 0 {
			return s.admin("PUT", "routes/y", `{"uri":"/y","upstream_id":"u"}`)
		}
		return s.admin("DELETE", "routes/y", "")
	})
	for _, name := range s.names {
		if err := s.parts[name].put(0); err != nil {
			s.t.Fatal(err)
		}
	}
	flaky := fmt.Sprintf(`{"uri":"/flaky","upstream":{"type":"roundrobin","retries":2,"nodes":[{"host":"127.0.0.1","port":%s,"weight":1,"priority":1},{"host":"127.0.0.1","port":%s,"weight":1,"priority":0}]}}`,
		port(s.flaky.addr), port(s.backends[0].addr))
	if err := s.admin("PUT", "routes/flaky", flaky); err != nil {
		s.t.Fatal(err)
	}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// change puts the next version of each part in turn.
func (s *soak) change(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		p := s.parts[s.names[i%len(s.names)]]
		v := p.applied.Load() + 1
		p.pending.Store(v)
		if err := p.put(v); err != nil {
			s.t.Errorf("changing %s: %v", s.names[i%len(s.names)], err)
			return
		}
		p.applied.Store(v)
		s.changes.Add(1)
		if i%10 == 0 {
			if err := s.flaky.turn(int64(i/10) % modes); err != nil {
				s.t.Errorf("the upstream that fails: %v", err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *soak) fail(format string, args ...any) {
	if s.failed.Add(1) < 20 {
		s.t.Errorf(format, args...)
	}
}

func (s *soak) wrong(format string, args ...any) {
	if s.misrouted.Add(1) < 20 {
		s.t.Errorf(format, args...)
	}
}

// lows are the versions in force now.
func (s *soak) lows() map[string]int64 {
	low := make(map[string]int64, len(s.parts))
	for name, p := range s.parts {
		low[name] = p.applied.Load()
	}
	return low
}

// send sends one request with a name of its own.
func (s *soak) send(client *http.Client, method, url string, body io.Reader) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, nil, err
	}
	id := s.requests.Add(1)
	req.Host = "soak.test"
	req.Header.Set("apikey", "k")
	req.Header.Set("X-Id", strconv.FormatInt(id, 10))
	req.Header.Set("Origin", "http://a.example")
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, text, err
}

// askAll asks the route in which all parts meet.
func (s *soak) askAll(client *http.Client, base string, n int) {
	low, path := s.lows(), fmt.Sprintf("/x/%d", n)
	resp, text, err := s.send(client, "POST", base+path, strings.NewReader("hello"))
	var got seenAnswer
	switch {
	case err != nil:
		s.fail("%s: %v", path, err)
		return
	case resp.StatusCode != 200 || json.Unmarshal(text, &got) != nil:
		s.fail("%s: %d %s", path, resp.StatusCode, text)
		return
	case got.Path != path || got.Length != 5:
		s.wrong("%s: %s", path, text)
	}
	limit := resp.Header.Get("X-Ratelimit-Limit")
	for name, value := range map[string]string{
		"route": resp.Header.Get("X-Route"), "service": got.Service, "consumer": got.Consumer, "config": strings.TrimPrefix(limit, "1000000"),
		"group": strings.TrimPrefix(resp.Header.Get("Access-Control-Expose-Headers"), "g-"), "global": globalVersion(resp.Header),
	} {
		if v, err := strconv.ParseInt(value, 10, 64); err != nil || !s.parts[name].between(low[name], v) {
			s.wrong("%s: version %q of %s was served, %d to %d were in force", path, value, name, low[name], s.parts[name].pending.Load())
		}
	}
	u := s.parts["upstream"]
	if high := u.pending.Load(); high == low["upstream"] && got.Backend != s.backends[high%2].name {
		s.wrong("%s: %s answered, version %d was in force", path, got.Backend, high)
	}
}

// globalVersion is in the name of a header that the global rule adds.
func globalVersion(h http.Header) string {
	for name := range h {
		if v, ok := strings.CutPrefix(name, "X-Global-"); ok {
			return v
		}
	}
	return ""
}

// askOther asks a route that comes and goes.
func (s *soak) askOther(client *http.Client) {
	p := s.parts["other"]
	low := p.applied.Load()
	resp, text, err := s.send(client, "GET", s.site.Gateway+"/y", nil)
	if err != nil || resp.StatusCode != 200 && resp.StatusCode != 404 {
		s.fail("/y: %v %s", err, text)
		return
	}
	if high := p.pending.Load(); high == low && (resp.StatusCode == 404) != (high%2 == 1) {
		s.wrong("/y: %d, version %d was in force", resp.StatusCode, high)
	}
}

// askEvents reads a stream of events, askBig sends a long body and has it back.
func (s *soak) askEvents(client *http.Client) {
	resp, text, err := s.send(client, "GET", s.site.Gateway+"/events", nil)
	if err != nil || resp.StatusCode != 200 || string(text) != "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n" {
		s.fail("/events: %v %q", err, text)
	}
}

func (s *soak) askBig(client *http.Client, body []byte) {
	resp, text, err := s.send(client, "POST", s.site.Gateway+"/big", bytes.NewReader(body))
	if err != nil || resp.StatusCode != 200 || !bytes.Equal(text, body) {
		s.fail("/big: %v, %d of %d bytes", err, len(text), len(body))
	}
}

// askSocket opens a WebSocket's connection and has some bytes sent back.
func (s *soak) askSocket() {
	s.requests.Add(1)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.site.Gateway, "http://"))
	if err != nil {
		s.fail("/socket: %v", err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(conn)
	io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: soak.test\r\napikey: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		s.fail("/socket: %v %v", err, resp)
		return
	}
	for range 20 {
		io.WriteString(conn, "ping")
		echo := make([]byte, 4)
		if _, err := io.ReadFull(in, echo); err != nil || string(echo) != "ping" {
			s.fail("/socket: %v %q", err, echo)
			return
		}
	}
}

// askFlaky asks a route whose first node fails: another answers, unless the request
// may already have reached the first.
func (s *soak) askFlaky(client *http.Client, method string) {
	resp, text, err := s.send(client, method, s.site.Gateway+"/flaky", nil)
	switch {
	case err != nil:
		s.fail("/flaky: %v", err)
	case resp.StatusCode == 200 && string(text) == "flaky":
	case resp.StatusCode == 200 && strings.Contains(string(text), `"Backend":"`+s.backends[0].name+`"`):
		s.retried.Add(1)
	case method == "POST" && resp.StatusCode == 502: // what was sent is not sent again
	default:
		s.fail("/flaky: %s %d %.100s", method, resp.StatusCode, text)
	}
}

// askAction calls a function.
func (s *soak) askAction(client *http.Client) {
	resp, text, err := s.send(client, "GET", s.site.Gateway+"/action", nil)
	if err != nil || resp.StatusCode != 200 || strings.TrimSpace(string(text)) != `{"ready":true}` {
		s.fail("/action: %v %s", err, text)
	}
}

// askTLS looks at the certificate that a new connection is shown.
func (s *soak) askTLS() {
	s.requests.Add(1)
	p := s.parts["ssl"]
	low := p.applied.Load()
	conn, err := tls.Dial("tcp", s.secured, &tls.Config{ServerName: "soak.test", InsecureSkipVerify: true})
	if err != nil {
		s.fail("TLS: %v", err)
		return
	}
	defer conn.Close()
	got := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	if high := p.pending.Load(); high == low && got != 1+high%2 {
		s.wrong("TLS: certificate %d, version %d was in force", got, high)
	}
}

// While everything changes, upstreams fail and traffic of all kinds runs, no request
// may fail, come twice, or be answered by a configuration that was not in force.
func TestSoak(t *testing.T) {
	s := &soak{t: t, parts: map[string]*part{}}
	s.flaky = startFlaky(t)
	for i := range s.backends {
		s.backends[i] = s.startBackend(fmt.Sprint("backend", i))
		s.pairs[i][0], s.pairs[i][1] = numbered(t, "soak.test", int64(i+1))
	}
	s.site = servertest.Start(t, func(c *config.Config) {
		c.Gateway.TLS.Enabled = true
		c.Gateway.TLS.Listen = []config.Listener{{Addr: c.Gateway.Listen[0].Addr, Network: "tcp", HTTP2: true}}
	})
	s.secured = strings.TrimPrefix(s.site.Secured, "https://")
	s.configure()
	s.run(s.workers())
	t.Logf("%s: %d requests, %d changes; failed %d, doubled %d, misrouted %d; %d answered by the second node",
		*soakTime, s.requests.Load(), s.changes.Load(), s.failed.Load(), s.doubled.Load(), s.misrouted.Load(), s.retried.Load())
}

// workers are the clients, one step each.
func (s *soak) workers() []func(n int) {
	plain := func() *http.Client {
		tr := &http.Transport{}
		s.t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: time.Minute}
	}
	h2 := &http.Transport{TLSClientConfig: &tls.Config{ServerName: "soak.test", InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	s.t.Cleanup(h2.CloseIdleConnections)
	a, b, c, d, f := plain(), plain(), plain(), plain(), plain()
	secure := &http.Client{Transport: h2, Timeout: time.Minute}
	body := bytes.Repeat([]byte("0123456789abcdef"), 128<<10)
	work := []func(n int){
		func(n int) { s.askAll(a, s.site.Gateway, n) },
		func(n int) { s.askAll(secure, s.site.Secured, n) },
		func(int) { s.askOther(b) },
		func(int) { s.askEvents(c) },
		func(int) { s.askSocket() },
		func(int) { s.askBig(d, body); time.Sleep(50 * time.Millisecond) },
		func(n int) { s.askFlaky(f, []string{"GET", "POST"}[n%2]) },
		func(int) { s.askTLS() },
	}
	if _, err := exec.LookPath("node"); err != nil {
		return work
	}
	created := &site{s.site, s.t}
	created.action("soak", `function main() { return {ready: true} }`)
	action := plain()
	if err := s.admin("PUT", "routes/action", fmt.Sprintf(`{"uri":"/action","plugins":{"openwhisk":{"api_host":%q,"service_token":%q,"namespace":"guest","action":"soak"}}}`,
		s.site.Functions, servertest.GuestKey)); err != nil {
		s.t.Fatal(err)
	}
	return append(work, func(int) { s.askAction(action) })
}

// run runs the clients while everything changes, and reports goroutines and memory.
func (s *soak) run(workers []func(n int)) {
	figures := func(when string) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.t.Logf("%s: %d goroutines, %d MB of live heap, %s", when, runtime.NumGoroutine(), m.HeapAlloc>>20, residentSize())
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), *soakTime)
	defer cancel()
	for _, work := range workers {
		work(0)
	}
	figures("at the begin")
	var all sync.WaitGroup
	all.Go(func() { s.change(ctx) })
	for _, work := range workers {
		all.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				work(n)
				time.Sleep(500 * time.Microsecond)
			}
		})
	}
	all.Wait()
	figures("at the end")
}

// residentSize is the line of the kernel about the memory of this process.
func residentSize() string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS:") {
			return "resident " + strings.TrimSpace(strings.TrimPrefix(line, "VmRSS:"))
		}
	}
	return ""
}
