package gateway

import (
	"errors"

	"millrace/resource"
	"millrace/store"
)

// errNoClientCert says that an upstream names a client certificate that is not
// there; its requests are answered with 502.
var errNoClientCert = errors.New("no such client certificate")

// clientCertID is the ssl object that an upstream takes its client certificate
// from, "" if none.
func clientCertID(conf *resource.Upstream) string {
	if conf == nil || conf.TLS == nil {
		return ""
	}
	return string(conf.TLS.ClientCertID)
}

// withClientCert puts the certificate in the place of client_cert_id.
func (g *Gateway) withClientCert(conf *resource.Upstream) (*resource.Upstream, error) {
	id := clientCertID(conf)
	if id == "" {
		return conf, nil
	}
	found, ok := g.clientCerts.Load(id)
	if !ok {
		return nil, errNoClientCert
	}
	ssl, with, tls := found.(*resource.SSL), *conf, *conf.TLS
	tls.ClientCert, tls.ClientKey = ssl.Cert, ssl.Key
	with.TLS = &tls
	return &with, nil
}

// takeClientCert keeps the certificate of an ssl object of type client, and makes
// the upstreams that use it anew.
func (f *follower) takeClientCert(id string, e *store.Event, ch *changes) error {
	f.g.clientCerts.Delete(id)
	if !e.Deleted {
		conf, err := parse[resource.SSL](f, e)
		if err != nil {
			return err
		}
		if off := conf.Status != nil && *conf.Status == 0; !conf.IsServer() && !off {
			f.g.clientCerts.Store(id, conf)
		}
	}
	changed := reference{"ssls", id}
	for user := range f.referrers[changed] {
		if u := f.upstreams[user.id]; user.folder == "upstreams" && u != nil {
			if err := f.setUpstream(user.id, u.conf); err != nil {
				return err
			}
		}
	}
	f.mark(ch, changed)
	return nil
}
