package gateway

import (
	"bytes"
	"crypto/tls"
	"net/http"

	"millrace/gateway/acme"
)

// answersChallenge answers a request by which an authority finds out whose a name
// is, if it has been waited for; otherwise it is a request as any other. Such a
// request comes without TLS.
func (x *exchange) answersChallenge() bool {
	m := x.g.conf.ACME
	if m == nil || x.conn.security != nil || !bytes.HasPrefix(x.req.path, []byte(acme.ChallengePath)) {
		return false
	}
	req, err := x.httpRequest(nil)
	if err != nil {
		return false
	}
	w := &localWriter{header: http.Header{}}
	if !m.Answer(w, req) {
		return false
	}
	w.WriteHeader(http.StatusOK)
	x.answer(w.status, w.body.Bytes(), sized, w.header.Get("Content-Type"))
	return true
}

// challengeFor answers what a handshake by which an authority finds out whose a
// name is goes by; nil if it is another.
func (g *Gateway) challengeFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if g.conf.ACME == nil {
		return nil, nil
	}
	return g.conf.ACME.Challenge(hello)
}

// manageCertificates says for which names there are to be certificates.
func (f *follower) manageCertificates() {
	if f.g.conf.ACME == nil {
		return
	}
	var names []string
	for _, s := range f.ssls {
		names = append(names, s.entry.Managed()...)
	}
	f.g.conf.ACME.Manage(names)
}
