package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"

	"millrace/gateway/sni"
	"millrace/internal/rawio"
	"millrace/resource"
	"millrace/store"
)

// ServeTLS is Serve for a listener whose clients speak TLS. They are shown the
// certificates of the ssl objects.
func (g *Gateway) ServeTLS(ctx context.Context, ln net.Listener) error {
	return g.serveListener(ctx, &listener{g: g, accepting: g.acceptor(ln), conns: map[*clientConn]struct{}{}, tls: true, altSvc: g.altSvc(ln.Addr())})
}

// security is what TLS has settled for a connection; nil without TLS.
type security struct {
	entry *sni.Entry
	state tls.ConnectionState
}

// refuses tells whether a request must not be answered: because its client has not
// shown the certificate that its server name demands, or because the name it asks for
// demands one, which only those have shown who shook hands with that name.
func (s *security) refuses(x *exchange) bool {
	if s == nil || s.entry == nil {
		return false
	}
	if s.entry.Demands(x.req.Path()) {
		if err := s.entry.Verify(&s.state); err != nil {
			x.g.log.Warn("refusing a request", "err", err, "name", s.state.ServerName)
			return true
		}
	}
	certificates := x.g.certificates.Load()
	if string(x.query.Host) == s.state.ServerName || !certificates.AskClients() {
		return false
	}
	host := string(x.query.Host)
	if e := certificates.Find(host); e == nil || !e.Demands(x.req.Path()) || sni.SameName(host, s.name(x.g)) {
		return false
	}
	x.g.log.Warn("refusing a request: its host is not the server name that the client certificate was shown for", "host", host, "name", s.state.ServerName)
	return true
}

// name is what the entry was found by.
func (s *security) name(g *Gateway) string {
	if s.state.ServerName == "" {
		return g.conf.TLS.Fallback
	}
	return s.state.ServerName
}

// securityKey is where a handshake finds what it settles.
type securityKey struct{}

// configFor chooses what a handshake goes by.
func (g *Gateway) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if c, err := g.challengeFor(hello); c != nil || err != nil {
		return c, err
	}
	e, err := g.certificates.Load().Choose(hello)
	if err != nil {
		return nil, err
	}
	hello.Context().Value(securityKey{}).(*security).entry = e
	return e.Config(), nil
}

// handshake settles TLS. nil: the client was sent away.
func (l *listener) handshake(conn net.Conn) (net.Conn, *security) {
	s := &security{}
	secured := tls.Server(conn, l.g.tls)
	ctx, cancel := context.WithTimeout(context.WithValue(l.g.ctx, securityKey{}, s), l.g.conf.HeaderTimeout)
	defer cancel()
	err := secured.HandshakeContext(ctx)
	if err == nil {
		s.state = secured.ConnectionState()
		return secured, s
	}
	var odd tls.RecordHeaderError
	if errors.As(err, &odd) && odd.Conn != nil && looksLikeHTTP(odd.RecordHeader) {
		c := newConn(l, conn)
		c.x.refuse(400, "The plain HTTP request was sent to HTTPS port")
		c.linger()
	}
	conn.Close()
	return nil, nil
}

func looksLikeHTTP(header [5]byte) bool {
	for _, c := range header {
		if (c < 'A' || c > 'Z') && c != ' ' && c != '/' {
			return false
		}
	}
	return true
}

// startTLS serves a connection after its handshake, which others need not wait for.
func (l *listener) startTLS(conn net.Conn) {
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		if secured, s := l.handshake(rawio.NewConn(conn)); secured != nil {
			l.start(secured, s)
		} else {
			l.g.open.Add(-1)
		}
	}()
}

// takeSSL keeps an ssl object as it was last good.
func (f *follower) takeSSL(id string, e *store.Event) error {
	if e.Deleted {
		delete(f.ssls, id)
		return nil
	}
	conf, err := parse[resource.SSL](f, e)
	if err != nil {
		return err
	}
	entry, err := sni.Compile(conf, f.g.conf.TLS)
	if err != nil {
		return err
	}
	if f.ssls[id] = (followedSSL{entry, e.CreateRevision}); entry == nil {
		delete(f.ssls, id)
	}
	return nil
}

// followedSSL is an ssl object made ready, with the order in which it came.
type followedSSL struct {
	entry   *sni.Entry
	created int64
}

// setCertificates swaps the table. Of two objects with the same name the newer one
// counts.
func (f *follower) setCertificates() {
	all := slices.SortedFunc(maps.Values(f.ssls), func(a, b followedSSL) int { return cmp.Compare(a.created, b.created) })
	entries := make([]*sni.Entry, len(all))
	var stapled []tls.Certificate
	for i := range all {
		entries[i] = all[i].entry
		stapled = append(stapled, all[i].entry.Stapled()...)
	}
	f.g.conf.TLS.Stapler.Keep(stapled)
	f.g.certificates.Store(sni.NewTable(entries, f.g.conf.TLS))
	f.manageCertificates()
}
