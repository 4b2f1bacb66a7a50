package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// What a browser makes of a site behind the gateway: other origins, events,
// WebSockets, gRPC-Web and pages of web actions.
func TestBrowser(t *testing.T) {
	t.Run("h2", func(t *testing.T) { testBrowser(t, "h2") })
	t.Run("h3", func(t *testing.T) { testBrowser(t, "h3") })
}

func testBrowser(t *testing.T, protocol string) {
	s := start(t)
	up := newPages(t)
	grpcAddr := startGRPC(t)
	pin := s.certificate("page.test", "api.test")
	page, other := s.origin("page.test"), s.origin("api.test")

	s.route("page", `{"uri":"/*","host":"page.test","upstream":{"nodes":{"%s":1}}}`, up.addr())
	s.route("socket", `{"uri":"/socket","host":"page.test","enable_websocket":true,"upstream":{"nodes":{"%s":1}}}`, up.addr())
	s.route("open", `{"uri":"/open","host":"api.test","upstream":{"nodes":{"%s":1}},"plugins":{"cors":
		{"allow_origins":"%s","allow_methods":"GET,PUT","allow_headers":"X-Token","expose_headers":"X-Answer"}}}`, up.addr(), page)
	s.route("closed", `{"uri":"/closed","host":"api.test","upstream":{"nodes":{"%s":1}},"plugins":{"cors":{"allow_origins":"https://else.test"}}}`, up.addr())
	s.route("none", `{"uri":"/none","host":"api.test","upstream":{"nodes":{"%s":1}}}`, up.addr())
	s.route("grpc", `{"uri":"/grpc/*","host":"api.test","upstream":{"scheme":"grpc","nodes":{"%s":1}},"plugins":{"grpc-web":{}}}`, grpcAddr)
	s.route("web", `{"uri":"/api/v1/web/*","host":"page.test","upstream":{"pass_host":"node","nodes":{"%s":1}}}`, strings.TrimPrefix(s.rest, "http://"))
	s.action("enter", `function main(p) { return {statusCode: 302, headers: {location: p.to,
		"set-cookie": ["visitor=you; Path=/; HttpOnly; Secure", "seen=1; Path=/"]}} }`)
	s.action("show", `function main(p) { return {body: "<title>Welcome</title><p>" + p.__ow_headers.cookie.split("; ").sort().join(" ")} }`)

	transport := "--disable-quic"
	if protocol == "h3" {
		transport = fmt.Sprintf("--origin-to-force-quic-on=page.test:%d,api.test:%d", s.tls, s.tls)
	}
	browse(t, pin, page+"/page?other="+other, transport)
	var got map[string]string
	select {
	case text := <-up.results:
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	case <-time.After(90 * time.Second):
		t.Fatalf("the page told nothing; the upstream saw %v", up.seen.all())
	}
	const refused = "TypeError: Failed to fetch"
	want := map[string]string{
		"protocol":                        protocol,
		"a simple request elsewhere":      "200 GET  answer null",
		"a preflight that is allowed":     "200 PUT t",
		"a header that is not allowed":    refused,
		"a method that is not allowed":    refused,
		"a site for another origin":       refused,
		"a site without cors":             refused,
		"events":                          "one two three",
		"a body in pieces":                "150000",
		"a WebSocket":                     "hello, the long one, clean",
		"a WebSocket where there is none": "refused",
		"a web action":                    "/api/v1/web/guest/default/show Welcome: seen=1 visitor=you; scripts see seen=1",
		"a gRPC call":                     "200 [8,1] grpc-message: grpc-status:0",
		"a gRPC call that fails":          "200 grpc-message:unknown service grpc-status:5",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s: got %q, want %q", name, got[name], want[name])
		}
	}
	// What a preflight refuses is never sent.
	for _, never := range []string{"OPTIONS /open", "DELETE /open", "GET /open with X-Other"} {
		if slices.Contains(up.seen.all(), never) {
			t.Errorf("the upstream saw %s", never)
		}
	}
}

// browsers are the names of what install.sh installs, and of what may be there.
var browsers = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// browse opens a page in a browser that trusts the key with the given pin, where
// each name below .test is this machine, until the test ends.
func browse(t *testing.T, pin, page string, more ...string) {
	t.Helper()
	var path string
	for _, name := range browsers {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skipf("none of %v is installed; scripts/install.sh test installs one", browsers)
	}
	profile, err := os.MkdirTemp("", "millrace-browser")
	if err != nil {
		t.Fatal(err)
	}
	args := append(more, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-breakpad",
		"--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--remote-debugging-port=0",
		"--user-data-dir="+profile, "--ignore-certificate-errors-spki-list="+pin, "--host-resolver-rules=MAP *.test 127.0.0.1", page)
	cmd := exec.Command(path, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its own children
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		os.RemoveAll(profile)
		if t.Failed() {
			t.Logf("the browser's log:\n%s", &log)
		}
	})
}

// pages is the upstream of the browser's page.
type pages struct {
	*httptest.Server
	seen    *requests
	acks    chan string
	results chan []byte
}

// requests is what an upstream saw.
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, what)
}

func (r *requests) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

func newPages(t *testing.T) *pages {
	p := &pages{seen: new(requests), acks: make(chan string, 3), results: make(chan []byte, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("browser", "page.html"))
	})
	mux.HandleFunc("/socket", echo)
	mux.HandleFunc("/plain-socket", echo)
	mux.HandleFunc("/events", p.events)
	mux.HandleFunc("/ack", func(_ http.ResponseWriter, r *http.Request) { p.acks <- r.URL.RawQuery })
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/results", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		p.results <- text
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Answer", "answer")
		w.Header().Set("X-Hidden", "hidden")
		fmt.Fprintf(w, "%s %s", r.Method, r.Header.Get("X-Token"))
	})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + r.URL.Path
		if r.Header.Get("X-Other") != "" {
			what += " with X-Other"
		}
		p.seen.add(what)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.CloseClientConnections)
	return p
}

func (p *pages) addr() string { return p.Listener.Addr().String() }

// events sends each event when the browser has told of the one before.
func (p *pages) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, word := range []string{"one", "two", "three"} {
		fmt.Fprintf(w, "data: %s\n\n", word)
		w.(http.Flusher).Flush()
		select {
		case told := <-p.acks:
			if told != word {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// echo sends the frames of a WebSocket back, that of the end too.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(accept[:]))
	for {
		head := make([]byte, 2, 10)
		if _, err := io.ReadFull(rw, head); err != nil {
			return
		}
		size := int64(head[1] & 0x7f)
		if more := map[int64]int{126: 2, 127: 8}[size]; more > 0 {
			head = head[:2+more]
			if _, err := io.ReadFull(rw, head[2:]); err != nil {
				return
			}
			size = new(big.Int).SetBytes(head[2:]).Int64()
		}
		masked := make([]byte, 4+min(size, 1<<20))
		if _, err := io.ReadFull(rw, masked); err != nil {
			return
		}
		for i := range masked[4:] {
			masked[4+i] ^= masked[i%4]
		}
		head[1] &= 0x7f
		if _, err := conn.Write(append(head, masked[4:]...)); err != nil || head[0]&0x0f == 8 {
			return
		}
	}
}

// startGRPC starts a gRPC server that can only say how it is.
func startGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// certificate gives the gateway a certificate for names and answers the pin of its
// key, as browsers take it.
func (s *site) certificate(names ...string) (pin string) {
	s.t.Helper()
	must := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "end to end"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	certPEM := block("CERTIFICATE", cert)
	must(os.WriteFile(s.ca(), []byte(certPEM), 0o600))
	ssl, err := json.Marshal(map[string]any{"snis": names, "cert": certPEM, "key": block("PRIVATE KEY", private)})
	must(err)
	if status, answer := s.call("PUT", s.admin+"/apisix/admin/ssls/1", string(ssl)); status/100 != 2 {
		s.t.Fatalf("the certificate: %d %s", status, answer)
	}
	sum := sha256.Sum256(public)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ca is the file with the certificate that the site shows.
func (s *site) ca() string { return filepath.Join(filepath.Dir(s.config), "ca.pem") }

// origin is that of a name on the gateway's TLS listener.
func (s *site) origin(name string) string { return fmt.Sprintf("https://%s:%d", name, s.tls) }

// route makes a route.
func (s *site) route(id, conf string, args ...any) {
	s.t.Helper()
	if status, answer := s.call("PUT", s.admin+"/apisix/admin/routes/"+id, fmt.Sprintf(conf, args...)); status/100 != 2 {
		s.t.Fatalf("route %s: %d %s", id, status, answer)
	}
}

// action makes a web action.
func (s *site) action(name, code string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"exec": map[string]string{"kind": "nodejs:default", "code": code},
		"annotations": []map[string]any{{"key": "web-export", "value": true}}})
	if err != nil {
		s.t.Fatal(err)
	}
	if status, answer := s.call("PUT", s.rest+"/api/v1/namespaces/_/actions/"+name+"?overwrite=true", string(body)); status != 200 {
		s.t.Fatalf("action %s: %d %s", name, status, answer)
	}
}
