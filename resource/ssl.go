package resource

// SSL is certificates: a server's, by the names of which (SNI) they are chosen,
// or a client's, for upstreams to refer to.
type SSL struct {
	ID   ID     `json:"id"`
	Type string `json:"type"` // empty means server
	Cert string `json:"cert"`
	Key  string `json:"key"`
	// Certs and Keys are further pairs for the same names, such as ECDSA ones.
	Certs        []string   `json:"certs"`
	Keys         []string   `json:"keys"`
	SNI          string     `json:"sni"`
	SNIs         []string   `json:"snis"`
	Client       *ClientTLS `json:"client"` // nil if clients need no certificate
	SSLProtocols []string   `json:"ssl_protocols"`
	Status       *int       `json:"status"` // nil means 1; 0 is never used
	// ACME asks for certificates for the names without wildcard; Cert is shown until
	// they have come.
	ACME bool `json:"acme"`
	// OCSPStapling is what the plugin of that name adds; nil means that nothing is
	// stapled.
	OCSPStapling *OCSPStapling `json:"ocsp_stapling"`
}

// StaplingPlugin is the plugin that adds ocsp_stapling to ssl objects.
const StaplingPlugin = "ocsp-stapling"

// OCSPStapling is whether clients are shown what the responder of a certificate says
// about it.
type OCSPStapling struct {
	Enabled    bool `json:"enabled"`
	SkipVerify bool `json:"skip_verify"` // what it says is shown as it is
	CacheTTL   *int `json:"cache_ttl"`   // seconds; nil means 3600
}

// ClientTLS is what certificates of clients must be.
type ClientTLS struct {
	CA               string   `json:"ca"`
	Depth            *int     `json:"depth"` // nil means 1
	SkipMTLSURIRegex []string `json:"skip_mtls_uri_regex"`
}

// IsServer tells whether the certificates are for the gateway's own listeners.
func (s *SSL) IsServer() bool { return s.Type == "" || s.Type == "server" }
