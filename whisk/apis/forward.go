package apis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// forward hands a request to its backend. path is what follows the tenant in
// the request's path, percent-encoded.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, act *action, path string) {
	out := r.Clone(r.Context())
	out.URL = act.url(path, r.URL.RawQuery)
	out.Host = act.target.Host
	out.RequestURI = ""
	if act.verb != "" {
		out.Method = act.verb
	}
	for _, h := range act.headers {
		out.Header.Set(h.name, h.value)
	}
	setForwarded(out.Header, r)
	if act.local {
		out.RequestURI = out.URL.RequestURI()
		out.URL.Scheme, out.URL.Host = "", ""
		g.web.ServeHTTP(w, out)
		return
	}
	g.proxyTo(w, out)
}

// url is where a request goes.
func (act *action) url(path, query string) *url.URL {
	u := *act.target
	if act.path {
		escaped := strings.TrimSuffix(u.EscapedPath(), "/") + path
		u.Path, _ = url.PathUnescape(escaped) // it was decoded before
		u.RawPath = escaped
	}
	switch {
	case u.RawQuery == "":
		u.RawQuery = query
	case query != "":
		u.RawQuery += "&" + query
	}
	return &u
}

// setForwarded tells the backend what the client sent the request to.
func setForwarded(h http.Header, r *http.Request) {
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		if before := h.Values("X-Forwarded-For"); len(before) > 0 {
			client = strings.Join(before, ", ") + ", " + client
		}
		h.Set("X-Forwarded-For", client)
	}
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	h.Set("X-Forwarded-Proto", proto)
	h.Set("X-Forwarded-Host", r.Host)
	if own, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(own.String()); err == nil {
			h.Set("X-Forwarded-Port", port)
		}
	}
	h.Set("X-Forwarded-Url", proto+"://"+r.Host+r.URL.RequestURI())
}

// via marks requests that have passed this gateway: an API whose backend is an
// API would otherwise go round for ever.
const via = "1.1 millrace-apis"

// Times that a backend elsewhere gets.
const (
	dialTime   = 5 * time.Second
	answerTime = 65 * time.Second // a blocking call takes 60
	bodyPause  = 60 * time.Second
)

// proxyTo sends a request to a backend that is not this platform.
func (g *Gateway) proxyTo(w http.ResponseWriter, out *http.Request) {
	for _, v := range out.Header.Values("Via") {
		if strings.Contains(v, via) {
			fail(w, http.StatusLoopDetected, msgLoop)
			return
		}
	}
	out.Header.Add("Via", via)
	from := &body{ReadCloser: out.Body, conn: http.NewResponseController(w), pause: g.pause}
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = from
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        asMade,
		Transport:      g.proxy,
		FlushInterval:  -1,
		ModifyResponse: withoutWholeOrigin,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if from.slow.Load() { // which has ended the request's context too
				fail(w, http.StatusRequestTimeout, msgSlowClient)
				return
			}
			g.backendFailed(w, r, err)
		},
	}
	proxy.ServeHTTP(w, out)
}

// asMade gives back what ReverseProxy takes out of a request before it is sent.
func asMade(r *httputil.ProxyRequest) {
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for name, values := range r.In.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			r.Out.Header[name] = values
		}
	}
}

// wholeOrigin are headers that speak for the whole origin of an answer, which the
// APIs of all tenants share: no backend of one may send them. The handler of web
// actions does not let them pass either.
var wholeOrigin = []string{
	"Alt-Svc", "Clear-Site-Data", "Expect-Ct", "Nel", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Report-To",
	"Service-Worker-Allowed", "Set-Login", "Strict-Transport-Security",
}

func withoutWholeOrigin(res *http.Response) error {
	for _, name := range wholeOrigin {
		res.Header.Del(name)
	}
	return nil
}

func (g *Gateway) backendFailed(w http.ResponseWriter, r *http.Request, err error) {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, &network) && network.Timeout():
		fail(w, http.StatusGatewayTimeout, msgSlowBackend)
	default:
		g.apis.cfg.Log.Info("calling the backend of an API", "backend", r.URL.Host, "error", err)
		fail(w, http.StatusBadGateway, msgNoBackend)
	}
}

// body is a request's body whose sender must not pause for too long.
type body struct {
	io.ReadCloser
	conn  *http.ResponseController
	pause time.Duration
	slow  atomic.Bool // the sender did pause for too long
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.pause)); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.slow.Store(true)
	case err != nil:
		// From here on reading only notices whether the client is still there.
		_ = b.conn.SetReadDeadline(time.Time{}) // it could be set before
	}
	return n, err
}

// newTransport connects to addresses of the public Internet and to those of
// allowed. Tenants choose the hosts: what else this machine reaches is not
// theirs to see.
func newTransport(allowed []netip.Prefix) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, allowed)
	}}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTime,
		ResponseHeaderTimeout:  answerTime,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

// Networks that are not the public Internet though they count as global unicast.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
}

// checkAddress answers nil if an API may connect to an address, which has been
// resolved: a name that changes its address meanwhile gains nothing.
func checkAddress(address string, allowed []netip.Prefix) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := ap.Addr().Unmap().WithZone("")
	for _, p := range allowed {
		if p.Contains(ip) {
			return nil
		}
	}
	open := ip.IsGlobalUnicast() && !ip.IsPrivate()
	for _, p := range reserved {
		open = open && !p.Contains(ip)
	}
	if !open {
		return fmt.Errorf("%s is not on the public Internet; functions.api_gateway_backends allows further networks", ip)
	}
	return nil
}
