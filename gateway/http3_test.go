package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// serveHTTP3 opens a UDP port of a gateway and answers its address.
func serveHTTP3(t *testing.T, g *Gateway) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.ServeHTTP3(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeHTTP3: %v", err)
		}
	})
	return socket.LocalAddr().String()
}

// clientH3 speaks HTTP/3 to addr, whatever the host of the URL.
func clientH3(t *testing.T, addr string, conf *tls.Config) *http.Client {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	from := &quic.Transport{Conn: socket}
	tr := &http3.Transport{TLSClientConfig: conf, Dial: func(ctx context.Context, _ string, conf *tls.Config, q *quic.Config) (*quic.Conn, error) {
		return from.DialEarly(ctx, to, conf, q)
	}}
	t.Cleanup(func() {
		tr.Close()
		from.Close()
		socket.Close()
	})
	return &http.Client{Transport: tr}
}

// certify puts an ssl object with a certificate for name, and answers what a client
// trusts it by.
func certify(t *testing.T, r *rig, id, name string, more map[string]any) *x509.CertPool {
	t.Helper()
	ca := newAuthority(t, "servers")
	cert, key := ca.pair(name)
	ssl := map[string]any{"sni": name, "cert": cert, "key": key}
	for k, v := range more {
		ssl[k] = v
	}
	r.put("ssls/"+id, object(t, ssl))
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return roots
}

func TestHTTP3(t *testing.T) {
	up := echo(t)
	r := start(t, func(c *Config) { c.MaxBody = 1 << 20 })
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	roots := certify(t, r, "1", "h2.com", nil)
	testStreams(t, "https", 3, clientH3(t, addr, &tls.Config{RootCAs: roots, ServerName: "h2.com"}))
}

// A request without a body has none for the upstream either, and what only few
// requests with such a method have comes through.
func TestHTTP3BodyOfGet(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %v %q", r.Proto, r.ContentLength, r.TransferEncoding, body)
	}))
	defer up.Close()
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	client := clientH3(t, addr, &tls.Config{RootCAs: certify(t, r, "1", "h3.com", nil), ServerName: "h3.com"})
	for _, tt := range []struct {
		body io.Reader
		want string
	}{
		{nil, `HTTP/1.1 0 [] ""`},
		{strings.NewReader("abc"), `HTTP/1.1 3 [] "abc"`},
		{io.MultiReader(strings.NewReader("abc")), `HTTP/1.1 3 [] "abc"`},
	} {
		req, _ := http.NewRequest("GET", "https://h3.com/", tt.body)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != tt.want {
			t.Errorf("got %s, want %s", body, tt.want)
		}
	}
}

// Of a long body whose length was not announced all arrives, also what comes with its
// end.
func TestHTTP3LongBodies(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	defer up.Close()
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	client := clientH3(t, addr, &tls.Config{RootCAs: certify(t, r, "1", "h3.com", nil), ServerName: "h3.com"})
	for i := range 12 {
		size := int64(wholeChunked + 100 + 370*i)
		resp, err := client.Post("https://h3.com/", "x/y", io.LimitReader(zeros{}, size))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprint(size, nil); string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

// What the upstream has read of an endless body comes back while it goes on.
func TestHTTP3StreamsBothWays(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			control.Flush()
			if err != nil {
				return
			}
		}
	}))
	defer up.Close()
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	client := clientH3(t, addr, &tls.Config{RootCAs: certify(t, r, "1", "h3.com", nil), ServerName: "h3.com"})
	const part, parts = 64 << 10, 100 // well over what windows and buffers hold
	from, to := io.Pipe()
	defer to.Close()
	req, _ := http.NewRequest("POST", "https://h3.com/", from)
	req.ContentLength = part * parts
	sent := make(chan error, 1)
	proceed := make(chan struct{}, parts)
	go func() {
		block := make([]byte, part)
		for range parts {
			if _, err := to.Write(block); err != nil {
				sent <- err
				return
			}
			<-proceed
		}
		sent <- to.Close()
	}()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	block := make([]byte, part)
	for i := range parts {
		if _, err := io.ReadFull(resp.Body, block); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		proceed <- struct{}{}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if n, err := resp.Body.Read(block); n != 0 || err != io.EOF {
		t.Errorf("after the last part: %d, %v", n, err)
	}
}

// A client that gives up its request ends the call to the upstream.
func TestHTTP3ClientGoesAway(t *testing.T) {
	reached, gone := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(gone)
	}))
	defer up.Close()
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	client := clientH3(t, addr, &tls.Config{RootCAs: certify(t, r, "1", "h3.com", nil), ServerName: "h3.com"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://h3.com/", nil)
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
		t.Error("an answer to a request that was given up")
	}
	select {
	case <-gone:
	case <-time.After(deadline):
		t.Error("the upstream's request goes on")
	}
}

// An answer that breaks off in the middle is no whole one for the client.
func TestHTTP3AnswerBreaksOff(t *testing.T) {
	up := serve(t, func(_ *server, c *upstreamConn) {
		if _, err := http.ReadRequest(c.r); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		}
	})
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+up.addr+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	client := clientH3(t, addr, &tls.Config{RootCAs: certify(t, r, "1", "h3.com", nil), ServerName: "h3.com"})
	resp, err := client.Get("https://h3.com/")
	if err != nil {
		return // the whole of it was lost
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q passes for the whole answer", body)
	}
}

func TestHTTP3Refuses(t *testing.T) {
	up := echo(t)
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	clients, strangers := newAuthority(t, "clients"), newAuthority(t, "strangers")
	plain := certify(t, r, "1", "h3.com", nil)
	old := certify(t, r, "2", "old.com", map[string]any{"ssl_protocols": []string{"TLSv1.2"}})
	mutual := certify(t, r, "3", "m.com", map[string]any{"client": map[string]any{"ca": clients.pem, "skip_mtls_uri_regex": []string{"^/open/"}}})
	shown := func(a *authority) []tls.Certificate {
		cert, key := a.pair("someone")
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	for _, tt := range []struct {
		name  string
		conf  *tls.Config
		url   string
		field string
		want  int // 0: the handshake fails
	}{
		{"well", &tls.Config{RootCAs: plain, ServerName: "h3.com"}, "https://h3.com/", "", 200},
		{"host and name differ", &tls.Config{RootCAs: plain, ServerName: "h3.com"}, "https://other.com/", "", 200},
		{"unknown name", &tls.Config{InsecureSkipVerify: true, ServerName: "other.com"}, "https://h3.com/", "", 0},
		{"only older TLS allowed", &tls.Config{RootCAs: old, ServerName: "old.com"}, "https://old.com/", "", 0},
		{"header over 8 KiB", &tls.Config{RootCAs: plain, ServerName: "h3.com"}, "https://h3.com/", strings.Repeat("x", 9<<10), 400},
		{"headers over 32 KiB", &tls.Config{RootCAs: plain, ServerName: "h3.com"}, "https://h3.com/", strings.Repeat("x", 33<<10), 431},
		{"no client certificate", &tls.Config{RootCAs: mutual, ServerName: "m.com"}, "https://m.com/", "", 400},
		{"no client certificate, open path", &tls.Config{RootCAs: mutual, ServerName: "m.com"}, "https://m.com/open/x", "", 200},
		{"a stranger's certificate", &tls.Config{RootCAs: mutual, ServerName: "m.com", Certificates: shown(strangers)}, "https://m.com/", "", 400},
		{"client certificate", &tls.Config{RootCAs: mutual, ServerName: "m.com", Certificates: shown(clients)}, "https://m.com/", "", 200},
		{"client certificate, a host that demands none", &tls.Config{RootCAs: mutual, ServerName: "m.com", Certificates: shown(clients)}, "https://h3.com/", "", 200},
		{"a host that demands a client certificate", &tls.Config{RootCAs: plain, ServerName: "h3.com", Certificates: shown(clients)}, "https://m.com/", "", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequest("GET", tt.url, nil)
			if tt.field != "" {
				req.Header.Set("X-Long", tt.field)
			}
			resp, err := clientH3(t, addr, tt.conf).Do(req)
			if err != nil {
				if tt.want != 0 {
					t.Fatal(err)
				}
				return
			}
			resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.want)
			}
		})
	}
}

// Under many unfinished handshakes a client is served after it has shown that it is
// where it says.
func TestHTTP3UnderLoad(t *testing.T) {
	r := start(t, nil)
	defer r.stop()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	roots := certify(t, r, "1", "h3.com", nil)
	h, err := r.g.openHTTP3(socket)
	if err != nil {
		t.Fatal(err)
	}
	h.handshakes.Add(manyHandshakes)
	done := make(chan error, 1)
	go func() { done <- r.g.serveHTTP3(t.Context(), h) }()
	resp, err := clientH3(t, socket.LocalAddr().String(), &tls.Config{RootCAs: roots, ServerName: "h3.com"}).Get("https://h3.com/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	h.conns.Add(maxConnsHTTP3)
	if resp, err := clientH3(t, socket.LocalAddr().String(), &tls.Config{RootCAs: roots, ServerName: "h3.com"}).Get("https://h3.com/"); err == nil {
		resp.Body.Close()
		t.Error("one connection too many")
	}
	h.conns.Add(-maxConnsHTTP3)
	r.stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A request in flight is answered when the gateway stops; the connection then ends.
func TestHTTP3Drains(t *testing.T) {
	reached, proceed := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-proceed
		io.WriteString(w, "whole")
	}))
	defer up.Close()
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	addr := serveHTTP3(t, r.g)
	client := clientH3(t, addr, &tls.Config{RootCAs: certify(t, r, "1", "h3.com", nil), ServerName: "h3.com"})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-reached
		r.stop()
	}()
	go func() {
		<-r.g.serving.Draining()
		close(proceed)
	}()
	resp, err := client.Get("https://h3.com/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "whole" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	select {
	case <-stopped:
	case <-time.After(deadline):
		t.Fatal("the gateway does not stop")
	}
}

func TestAltSvc(t *testing.T) {
	up := echo(t)
	r := start(t, nil)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+strings.TrimPrefix(up.URL, "http://")+`":1}}}`)
	roots := certify(t, r, "1", "h3.com", nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	r.g.Announce(port)
	done := make(chan error, 1)
	go func() { done <- r.g.ServeTLS(t.Context(), ln) }()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "h3.com"},
		DisableKeepAlives: true,
	}}
	for path, want := range map[string]string{"/": fmt.Sprintf(`h3=":%d"; ma=86400`, port), "/%zz": ""} {
		req, _ := http.NewRequest("GET", "https://"+ln.Addr().String(), nil)
		req.URL.Opaque = path
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Alt-Svc"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if h := r.get("/").header.Get("Alt-Svc"); h != "" {
		t.Errorf("without TLS: %q", h)
	}
	r.stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
