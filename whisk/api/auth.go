package api

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"millrace/whisk"
)

// The keys of the namespaces guest and whisk.system that every tutorial uses.
const (
	GuestKey  = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	SystemKey = "789c46b1-71f6-4ed5-8c54-816aa4f8c502:abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

const msgWellKnownKey = "A key that everybody knows is in use here, so only requests whose Host and Origin are loopback are answered. Set own keys to allow others."

// WellKnown tells whether key is one that every tutorial shows.
func WellKnown(key string) bool { return key == GuestKey || key == SystemKey }

// keyring finds identities by the UUID of their key. Values are not changed
// once made, and their addresses stand for the caller.
type keyring map[string]*whisk.Identity

func newKeyring(identities []whisk.Identity, limits whisk.NamespaceLimits) (keyring, error) {
	k := make(keyring, len(identities))
	for _, id := range identities {
		if _, _, err := whisk.ParseKey(id.UUID + ":" + id.Secret); err != nil {
			return nil, fmt.Errorf("key of namespace %s: %w", id.Namespace, err)
		}
		if err := whisk.CheckNamespace(id.Namespace); err != nil {
			return nil, fmt.Errorf("namespace %q: %w", id.Namespace, err)
		}
		id.UUID = strings.ToLower(id.UUID)
		if k[id.UUID] != nil {
			return nil, fmt.Errorf("namespaces %s and %s have keys with the same UUID", k[id.UUID].Namespace, id.Namespace)
		}
		if id.Subject == "" {
			id.Subject = id.Namespace
		}
		if id.Limits == (whisk.NamespaceLimits{}) {
			id.Limits = limits
		}
		k[id.UUID] = &id
	}
	return k, nil
}

// identity finds who has a key (uuid:secret).
func (k keyring) identity(key string) (*whisk.Identity, error) {
	uuid, secret, _ := strings.Cut(key, ":")
	id := k[uuid]
	if id == nil {
		id = k[strings.ToLower(uuid)]
	}
	if id == nil || subtle.ConstantTimeCompare([]byte(id.Secret), []byte(secret)) != 1 {
		return nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: whisk.MsgAuthenticationInvalid}
	}
	return id, nil
}

// authenticate finds who sent a request.
func (a *API) authenticate(r *http.Request) (*whisk.Identity, error) {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: whisk.MsgAuthenticationMissing}
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err != nil {
		return nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: whisk.MsgAuthenticationInvalid}
	}
	return a.keys.identity(string(key))
}

// fromLoopback tells whether the Host, and the Origin if there is one, are this
// machine: a page of another site can send requests here, but not with these.
func fromLoopback(r *http.Request) bool {
	if !loopbackHost(r.Host) {
		return false
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || !loopbackHost(u.Host) {
			return false
		}
	}
	return true
}

// loopbackHost tells whether host, with or without a port, is this machine.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
