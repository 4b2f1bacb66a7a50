package check

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"millrace/resource"
)

// Resolve answers an address of a host.
type Resolve func(ctx context.Context, host string) (netip.Addr, error)

// probe is how a node is asked for its health.
type probe struct {
	kind    string // http, https or tcp
	timeout time.Duration
	host    string // asked for instead of the node's own, if not empty
	port    int    // the node's own if 0
	verify  bool   // the certificate
	begin   string // of the request, up to the value of Host
	rest    string // of the request
}

// longest bounds timeouts, which a configuration can make absurdly long.
const longest = 24 * time.Hour

func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), float64(longest)))
}

func newProbe(a *resource.ActiveCheck) (*probe, error) {
	p := &probe{
		kind: cmp.Or(a.Type, "http"), timeout: seconds(a.Timeout), host: a.Host, port: a.Port,
		verify: a.HTTPSVerifyCertificate,
	}
	if p.timeout <= 0 {
		p.timeout = time.Second
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\r\nConnection: close\r\n")
	for _, h := range a.ReqHeaders {
		if strings.ContainsAny(h, "\r\n") || !strings.Contains(h, ":") {
			return nil, fmt.Errorf("%q is not a header", h)
		}
		fmt.Fprintf(&b, "%s\r\n", h)
	}
	if a.HTTPReqBody != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(a.HTTPReqBody))
	}
	p.rest = b.String() + "\r\n" + a.HTTPReqBody
	path := cmp.Or(a.HTTPPath, "/")
	if strings.ContainsAny(path, " \r\n") {
		return nil, fmt.Errorf("%q is not a path", path)
	}
	p.begin = cmp.Or(a.HTTPMethod, "GET") + " " + path + " HTTP/1.1\r\nHost: "
	return p, nil
}

// run asks one node; ip is where it was asked.
func (p *probe) run(ctx context.Context, resolve Resolve, n *Node) (r Result, ip string) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	addr, err := resolve(ctx, n.Host)
	if err != nil {
		return failure(err), ""
	}
	ip = addr.String()
	port := cmp.Or(p.port, n.Port)
	r, err = p.ask(ctx, netip.AddrPortFrom(addr, uint16(port)).String(), n)
	if err != nil {
		r = failure(err)
	}
	return r, ip
}

func failure(err error) Result {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return Result{Kind: TimedOut}
	}
	return Result{Kind: Failed}
}

func (p *probe) ask(ctx context.Context, addr string, n *Node) (Result, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return Result{}, err
	}
	defer func() { conn.Close() }()
	if p.kind == "tcp" {
		return Result{Kind: Connected}, nil
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	host := cmp.Or(p.host, n.Host)
	if p.kind == "https" {
		t := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: !p.verify})
		if err := t.HandshakeContext(ctx); err != nil {
			return Result{}, err
		}
		conn = t
	}
	if _, err := conn.Write([]byte(p.begin + hostField(host) + p.rest)); err != nil {
		return Result{}, err
	}
	status, err := readStatus(bufio.NewReaderSize(conn, 512))
	return Result{Status: status}, err
}

// hostField is the value of Host, in which APISIX has no port.
func hostField(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		return "[" + host + "]"
	}
	return host
}

var errNotHTTP = errors.New("the answer is not HTTP")

// readStatus reads the first line of an answer.
func readStatus(r *bufio.Reader) (int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, err
	}
	version, rest, _ := strings.Cut(string(line), " ")
	if !strings.HasPrefix(version, "HTTP/1.") || len(rest) < 3 {
		return 0, errNotHTTP
	}
	status, err := strconv.Atoi(rest[:3])
	if err != nil || status < 100 {
		return 0, errNotHTTP
	}
	return status, nil
}
