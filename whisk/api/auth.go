package api

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"millrace/whisk"
	"millrace/whisk/request"
)

// The keys of the namespaces guest and whisk.system that every tutorial uses.
const (
	GuestKey  = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	SystemKey = "789c46b1-71f6-4ed5-8c54-816aa4f8c502:abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

const msgWellKnownKey = "A key that everybody knows is in use here, so only requests whose Host and Origin are loopback are answered. Set own keys to allow others."

// WellKnown tells whether key is one that every tutorial shows.
func WellKnown(key string) bool { return key == GuestKey || key == SystemKey }

// authenticate finds who sent a request.
func (a *API) authenticate(r *http.Request) (*whisk.Identity, error) {
	key, given := request.Key(r)
	if !given {
		return nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: whisk.MsgAuthenticationMissing}
	}
	return a.Identities.Authenticate(key)
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

// LoopbackOnly refuses requests that do not come from this machine or from pages
// of it, as the REST API does while a key that everybody knows is in force.
func LoopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromLoopback(r) {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		body := append(whisk.AppendString([]byte(`{"status":403,"message":`), msgWellKnownKey), '}')
		_, _ = w.Write(body) // a client that went away needs no answer
	})
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
