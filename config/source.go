package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"
)

// Source says where the gateway's resources are kept.
type Source struct {
	// Provider is data (the data folder), api (the data folder too, but the
	// resources are put as a whole through the Admin API), etcd, or file.
	Provider string
	// File is the path of apisix.yaml or apisix.json.
	File string
	Etcd Etcd
}

// Etcd is the etcd that an APISIX may share.
type Etcd struct {
	Hosts          []string // URLs
	Prefix         string
	User, Password string
	Timeout        time.Duration
	// Retries is how often the start tries again to reach it.
	Retries int
	// StartupWait is how long a start waits for it before what it held last is served;
	// 0 keeps nothing for that.
	StartupWait time.Duration
	TLS         EtcdTLS
}

// EtcdTLS is how an etcd behind TLS is spoken to.
type EtcdTLS struct {
	Cert, Key, SNI string // the first two are PEM files
	Verify         bool
}

func (k *keys) etcd() object {
	e := &k.c.Gateway.Source.Etcd
	return object{
		"host":          list(&e.Hosts, baseURL),
		"prefix":        text(&e.Prefix),
		"user":          text(&e.User),
		"password":      text(&e.Password),
		"timeout":       duration(&e.Timeout),
		"startup_retry": integer(&e.Retries, 0),
		"startup_wait":  duration(&e.StartupWait),
		"tls": object{
			"cert":   text(&e.TLS.Cert),
			"key":    text(&e.TLS.Key),
			"sni":    text(&e.TLS.SNI),
			"verify": boolean(&e.TLS.Verify),
		}.noEffects("apisix.ssl.ssl_trusted_certificate names the authorities", "ssl_trusted_certificate"),
	}.noEffects("changes are awaited as long as it takes", "watch_timeout", "resync_delay", "health_check_timeout", "health_check_retry").
		noEffects("etcd is spoken to over gRPC in any case", "use_grpc")
}

// provider takes where the resources are kept.
func provider(to *string) field { return oneOf(to, "etcd", "yaml", "json") }

// finishSource settles where the resources are: in an etcd only if the file says
// where that is, since one machine needs none.
func (k *keys) finishSource(d *decoder) {
	s := &k.c.Gateway.Source
	role := cmp.Or(k.role, "traditional")
	from := cmp.Or(*k.byRole[role], k.provider)
	switch {
	case role == "traditional" && *k.byRole[role] != "" && from != "etcd":
		s.Provider = "api" // put there as a whole; no file has them
	case from == "yaml" || from == "json":
		s.Provider, s.File = "file", filepath.Join(filepath.Dir(d.file), "apisix."+from)
		if _, named := d.given["roles"]; !named {
			k.c.Roles = slices.DeleteFunc(k.c.Roles, func(r Role) bool { return r == RoleAdmin })
		}
	case len(s.Etcd.Hosts) > 0:
		s.Provider = "etcd"
	}
}
