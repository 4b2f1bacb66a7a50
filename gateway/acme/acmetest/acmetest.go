// Package acmetest runs a real authority that speaks ACME, Pebble, in tests: with
// its own names, which all lead to one address, and its own ports for challenges.
package acmetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Authority is a running Pebble.
type Authority struct {
	// Directory is its URL, and RootsFile a PEM file of whom to trust when calling it.
	Directory, RootsFile string
	Roots                *x509.CertPool

	management string
	client     *http.Client
}

// start is how long Pebble may take to begin.
const start = 60 * time.Second

// Start starts an authority that looks for challenges at the IPv4 address host, on
// the ports httpPort and tlsPort. It skips the test where Pebble is not installed.
func Start(t testing.TB, host string, httpPort, tlsPort int) *Authority {
	t.Helper()
	program := find(t)
	folder := t.TempDir()
	a := &Authority{RootsFile: filepath.Join(folder, "cert.pem")}
	a.certify(t, folder)
	// An address of its own, so that nobody takes the ports meanwhile.
	own := net.IPv4(127, 0, 34, byte(1+os.Getpid()%250)).String()
	listen, manage := freeAddress(t, own), freeAddress(t, own)
	conf, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage,
		"certificate": a.RootsFile, "privateKey": filepath.Join(folder, "key.pem"),
		"httpPort": httpPort, "tlsPort": tlsPort,
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pebble.json")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", file, "-dnsserver", names(t, net.ParseIP(host)), "-strict")
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	var logs output
	cmd.Stdout, cmd.Stderr = &logs, &logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("pebble:\n%s", logs.String())
		}
	})
	a.Directory, a.management = "https://"+listen+"/dir", "https://"+manage
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Roots}, DisableKeepAlives: true}
	a.client = &http.Client{Transport: transport}
	a.await(t)
	return a
}

func (a *Authority) await(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(start); ; time.Sleep(50 * time.Millisecond) {
		resp, err := a.client.Get(a.Directory)
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("pebble does not answer: %v", err)
		}
	}
}

// Issued answers whom the certificates that it signs are trusted by.
func (a *Authority) Issued(t testing.TB) *x509.CertPool {
	t.Helper()
	resp, err := a.client.Get(a.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("pebble's root: %q", text)
	}
	return pool
}

// find looks for the program where scripts/install.sh puts it, and in PATH.
func find(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if p := filepath.Join(dir, ".tools", "pebble"); exists(p) {
			return p
		}
	}
	p, err := exec.LookPath("pebble")
	if err != nil {
		t.Skip("pebble is not installed here: scripts/install.sh test")
	}
	return p
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// certify makes the certificate by which the authority itself is reached.
func (a *Authority) certify(t testing.TB, folder string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	for last := range 256 {
		template.IPAddresses = append(template.IPAddresses, net.IPv4(127, 0, 34, byte(last)))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.Roots = x509.NewCertPool()
	a.Roots.AppendCertsFromPEM(cert)
}

func freeAddress(t testing.TB, host string) string {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return net.JoinHostPort(host, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
}

// names serves a DNS by which every name is at host.
func names(t testing.TB, host net.IP) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks by TCP
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: host,
			}}
		}
		_ = w.WriteMsg(answer)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// output gathers what a program says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
