package config

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// ACME is from whom certificates come for the ssl objects that ask for it.
type ACME struct {
	// Agree says that the operator agrees to the terms of the authority; nothing is
	// done without it.
	Agree bool
	// CA is the URL of the authority's directory, empty for Let's Encrypt, CAFile a
	// PEM file of whom to trust when calling it, empty for the system's.
	CA, CAFile string
	// Email is whom the authority may write to; it may be empty.
	Email string
	// KeyID and MACKey are those of an account that exists at the authority.
	KeyID, MACKey string
	// Challenges are HTTP01 and TLSALPN01 or one of them.
	Challenges []string
}

// The ways to show that one has a name.
const (
	HTTP01    = "http-01"
	TLSALPN01 = "tls-alpn-01"
)

// Has tells whether a kind of challenge may be used.
func (a *ACME) Has(challenge string) bool { return slices.Contains(a.Challenges, challenge) }

func (k *keys) acme() field {
	a := &k.c.Gateway.ACME
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		object{
			"agree":   boolean(&a.Agree),
			"ca":      baseURL(&a.CA),
			"ca_file": text(&a.CAFile),
			"email":   text(&a.Email),
			"key_id":  text(&a.KeyID),
			"mac_key": text(&a.MACKey),
			"challenges": list(&a.Challenges, func(to *string) field {
				return oneOf(to, HTTP01, TLSALPN01)
			}),
		}.decode(d, key, n)
		if !a.Agree && !blank(n) {
			d.fail(n, key+".agree", "certificates are only asked for if you agree to the authority's terms: set it to true, or take the section out")
		}
		if (a.KeyID == "") != (a.MACKey == "") {
			d.fail(n, key, "key_id and mac_key belong together")
		}
	})
}
