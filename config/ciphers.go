package config

import (
	"crypto/tls"
	"strings"

	"gopkg.in/yaml.v3"
)

// cipherNames are OpenSSL's names of the suites up to TLS 1.2 that exist here. Those
// of TLS 1.3 cannot be chosen, in nginx neither.
var cipherNames = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	"AES128-GCM-SHA256":             tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	"AES256-GCM-SHA384":             tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	"AES128-SHA":                    tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	"AES256-SHA":                    tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

// ciphers takes a list of OpenSSL's, of which what does not exist here is left out,
// such as DHE. A list of which nothing is left, such as HIGH, leaves Go's own.
func ciphers(to *[]uint16) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		var list string
		text(&list).decode(d, key, n)
		*to = nil
		for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == ' ' || r == ',' }) {
			if id, ok := cipherNames[name]; ok {
				*to = append(*to, id)
			}
		}
		if list != "" && len(*to) == 0 {
			d.warn(n, key, "none of these cipher suites exists here; the safe ones of Go are used")
		}
	})
}
