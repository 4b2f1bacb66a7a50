package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo answers what it was asked, in parts if the query says so.
func echo(t *testing.T) *httptest.Server {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Query().Has("parts") {
			for i := range 3 {
				fmt.Fprintf(w, "part %d\n", i)
				w.(http.Flusher).Flush()
			}
			return
		}
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
		fmt.Fprintf(w, "%s %s %s %d %s", r.Method, r.URL.RequestURI(), r.Host, len(body), r.Header.Get("X-Mine"))
	}))
	t.Cleanup(up.Close)
	return up
}

// clientH2 speaks HTTP/2 to addr, with TLS unless conf is nil.
func clientH2(t *testing.T, addr string, conf *tls.Config) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(conf != nil)
	protocols.SetUnencryptedHTTP2(conf == nil)
	tr := &http.Transport{Protocols: protocols, TLSClientConfig: conf}
	tr.DialContext = func(_ context.Context, network, _ string) (net.Conn, error) { return net.Dial(network, addr) }
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	up := echo(t)
	r := start(t, func(c *Config) { c.HTTP2, c.MaxBody = true, 1<<20 })
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	secured := serveTLS(t, r.g)
	ca := newAuthority(t, "servers")
	cert, key := ca.pair("h2.com")
	r.put("ssls/1", object(t, map[string]any{"sni": "h2.com", "cert": cert, "key": key}))
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)

	for scheme, client := range map[string]*http.Client{
		"https": clientH2(t, secured, &tls.Config{RootCAs: roots, ServerName: "h2.com", NextProtos: []string{"h2"}}),
		"http":  clientH2(t, r.addr, nil),
	} {
		t.Run(scheme, func(t *testing.T) { testStreams(t, scheme, 2, client) })
	}
}

// testStreams makes requests of many kinds by HTTP/2 or 3.
func testStreams(t *testing.T, scheme string, version int, client *http.Client) {
	ask := func(method, path string, body io.Reader) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, scheme+"://h2.com"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Mine", "v")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%s %s: reading: %v", method, path, err)
		}
		return resp, string(text)
	}
	resp, text := ask("GET", "/a%2Fb?x=1", nil)
	if resp.ProtoMajor != version || resp.StatusCode != 200 || text != "GET /a%2Fb?x=1 h2.com 0 v" || resp.Header.Get("X-Proto") != scheme || len(resp.Header["Set-Cookie"]) != 2 {
		t.Errorf("%s %d %q %v", resp.Proto, resp.StatusCode, text, resp.Header)
	}
	if resp, text := ask("HEAD", "/h", nil); resp.StatusCode != 200 || text != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, text)
	}
	if _, text := ask("GET", "/?parts", nil); text != "part 0\npart 1\npart 2\n" {
		t.Errorf("parts: %q", text)
	}
	for _, size := range []int{1, 300, 100_000, 1 << 20} {
		want := fmt.Sprintf("POST /p h2.com %d v", size)
		if _, text := ask("POST", "/p", bytes.NewReader(make([]byte, size))); text != want {
			t.Errorf("body of %d: %q", size, text)
		}
		unknown := io.MultiReader(bytes.NewReader(make([]byte, size))) // its length is not announced
		if _, text := ask("POST", "/p", unknown); text != want {
			t.Errorf("body of %d, length not announced: %q", size, text)
		}
	}
	if resp, _ := ask("POST", "/p", bytes.NewReader(make([]byte, 1<<20+1))); resp.StatusCode != 413 {
		t.Errorf("too large a body: %d", resp.StatusCode)
	}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			path := fmt.Sprintf("/%d", i)
			resp, err := client.Get(scheme + "://h2.com" + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "GET "+path+" h2.com 0 " {
				t.Errorf("%s: %q, %v", path, text, err)
			}
		})
	}
	all.Wait()
}

// A client that resets its stream ends the call to the upstream.
func TestHTTP2ClientGoesAway(t *testing.T) {
	t.Parallel()
	reached, gone := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(gone)
	}))
	defer up.Close()
	r := start(t, func(c *Config) { c.HTTP2 = true })
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://h2.com/", nil)
	go func() {
		<-reached
		cancel()
	}()
	if resp, err := clientH2(t, r.addr, nil).Do(req); err == nil {
		resp.Body.Close()
		t.Error("an answer to a request that was given up")
	}
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("the upstream's request goes on")
	}
}
