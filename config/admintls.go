package config

// AdminTLS configures TLS of the Admin API. The others are PEM files; with a CA,
// clients need a certificate of it.
type AdminTLS struct {
	Enabled       bool
	Cert, Key, CA string
}

// keys are those of admin_api_mtls, as APISIX names it with and without a CA.
func (t *AdminTLS) keys() object {
	return object{
		"admin_ssl_cert":     text(&t.Cert),
		"admin_ssl_cert_key": text(&t.Key),
		"admin_ssl_ca_cert":  text(&t.CA),
	}
}
