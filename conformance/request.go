package conformance

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// patience bounds one request, and one conversation by bytes.
const patience = time.Minute

// response is what a case has been answered.
type response struct {
	status int
	proto  string // HTTP/1.1, HTTP/2.0 or HTTP/3.0
	header http.Header
	body   []byte
	tls    *tls.ConnectionState // nil without TLS
	// received are the bytes as they came, of a conversation by bytes, and answers
	// how many answers are among them.
	received []byte
	answers  int
	// closed: the other side has ended the connection; err is why there is no answer.
	closed bool
	err    error
}

func (r *response) String() string {
	switch {
	case r.status != 0:
		return fmt.Sprintf("the answer was %d %q", r.status, r.body)
	case len(r.received) > 0:
		return fmt.Sprintf("what came was %q", r.received)
	}
	return fmt.Sprintf("nothing came: %v", cmp.Or(r.err, errors.New("the connection stays open")))
}

// request sends the request of a case, over the version of HTTP that it names.
func (r *run) request(c *testCase) (*response, error) {
	base, err := url.Parse(r.bases[c.target])
	if err != nil {
		return nil, err
	}
	conf, err := r.tlsConfig(c)
	if err != nil {
		return nil, err
	}
	transport, closeAll := transportOf(c, conf)
	defer closeAll()
	client := &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	text, err := r.body(c)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(c.method, base.String(), strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	// An opaque URL is sent as it is, be it normal or not.
	req.URL.Opaque = r.vars.expand(c.path)
	for _, h := range c.header {
		value := r.vars.expand(h.value)
		if strings.EqualFold(h.name, "Host") {
			req.Host = value
		}
		req.Header.Add(h.name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return &response{status: res.StatusCode, proto: res.Proto, header: res.Header, body: body, tls: res.TLS, err: err}, err
}

// body is the body of a case as it is sent.
func (r *run) body(c *testCase) (string, error) {
	text := r.vars.expand(c.body)
	for _, name := range c.base64 {
		member := gjson.Get(text, name)
		plain := member.Raw
		if member.Type == gjson.String {
			plain = member.String()
		}
		var err error
		if text, err = sjson.Set(text, name, base64.StdEncoding.EncodeToString([]byte(plain))); err != nil {
			return "", fmt.Errorf("encoding %s of the body: %w", name, err)
		}
	}
	return text, nil
}

// transportOf answers what speaks the version of HTTP of a case, and what ends it.
func transportOf(c *testCase, conf *tls.Config) (http.RoundTripper, func()) {
	if c.over == "h3" {
		t := &http3.Transport{TLSClientConfig: conf, DisableCompression: true}
		return t, func() { t.Close() }
	}
	t := &http.Transport{TLSClientConfig: conf, DisableCompression: true, Protocols: new(http.Protocols)}
	if c.over == "h2" {
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
		t.DisableKeepAlives = true
	}
	return t, t.CloseIdleConnections
}

// tlsConfig is TLS as the client of a case speaks it. Whom it meets is for the
// expectations to say, so it trusts everyone.
func (r *run) tlsConfig(c *testCase) (*tls.Config, error) {
	conf := &tls.Config{InsecureSkipVerify: true, ServerName: r.vars.expand(c.sni), NextProtos: c.alpn}
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tlsVersions[c.tlsVersion]
	if c.certificate == "" {
		return conf, nil
	}
	by := r.vars.authority
	if c.stranger {
		by = newAuthority()
	}
	cert, err := by.client(c.certificate)
	if err != nil {
		return nil, err
	}
	// It is shown whatever authorities the server names.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return conf, nil
}

// tlsVersions are those that a script may name; none stands for the newest.
var tlsVersions = map[string]uint16{"": 0, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// dial opens the connection of a conversation by bytes.
func (r *run) dial(ctx context.Context, c *testCase) (net.Conn, error) {
	base := r.bases[c.target]
	network := "tcp"
	if c.target == "udp" {
		network = "udp"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address(base))
	if err != nil || c.target != "tls" && !strings.HasPrefix(base, "https://") {
		return conn, err
	}
	conf, err := r.tlsConfig(c)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// writeFile puts the body of a case into a file of the server's.
func (r *run) writeFile(c *testCase) []string {
	name := filepath.Join(r.bases["file"], filepath.Base(c.path))
	if err := os.WriteFile(name, []byte(r.vars.expand(c.body)+"\n"), 0o644); err != nil {
		return []string{err.Error()}
	}
	return r.judge(c, &response{status: http.StatusOK})
}
