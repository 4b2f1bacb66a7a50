package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Key is one key of the Admin API. The role viewer may only read; any other may
// do everything.
type Key struct {
	Name, Key, Role string
}

// WellKnown reports whether a key is one of those that every tutorial names.
func WellKnown(key string) bool {
	return key == "edd1c9f034335f136f87ad84b625c8f1" || key == "4054f7cf07e344346cd3f287985e76a2"
}

// access decides who may call.
type access struct {
	allowed  []netip.Prefix
	required bool
	keys     []hashedKey
	// loopbackOnly is true while a well-known key is in force.
	loopbackOnly bool
	// insecure: the settings say that no such care is to be taken.
	insecure bool
	// cors lets web pages read the answers.
	cors bool
}

// hashedKey is a key by its hash, so that comparing takes the same time whatever
// the lengths.
type hashedKey struct {
	hash   [sha256.Size]byte
	viewer bool
}

func newAccess(cfg Config) (access, error) {
	acc := access{required: cfg.KeyRequired, insecure: cfg.InsecureWellKnownKeys, cors: cfg.CORS}
	for _, text := range cfg.AllowAdmin {
		p, err := parseAllowed(text)
		if err != nil {
			return acc, fmt.Errorf("allow_admin: %q is neither an IP address nor a CIDR", text)
		}
		acc.allowed = append(acc.allowed, p)
	}
	for _, k := range cfg.Keys {
		if k.Key == "" {
			return acc, fmt.Errorf("admin_key: the key named %q is empty", k.Name)
		}
		acc.loopbackOnly = acc.loopbackOnly || WellKnown(k.Key) && !acc.insecure
		acc.keys = append(acc.keys, hashedKey{sha256.Sum256([]byte(k.Key)), k.Role == "viewer"})
	}
	if acc.required && len(acc.keys) == 0 {
		return acc, errors.New("admin_key: admin_key_required is true and there is no key")
	}
	return acc, nil
}

// checkClient refuses clients by where they come from and, while a well-known key
// or none is enough, by what they call us: a web page in a browser on this
// machine must not change routes, by its own origin or by a name that leads here.
func (acc *access) checkClient(r *http.Request) *answer {
	if len(acc.allowed) > 0 && !acc.allows(r.RemoteAddr) {
		refused := page(http.StatusForbidden)
		return &refused
	}
	switch {
	case isLoopback(r.Host) && hasLoopbackOrigin(r):
	case acc.loopbackOnly:
		return fail(http.StatusForbidden, msgWellKnownKey)
	case !acc.required && !acc.insecure && fromLoopback(r):
		return fail(http.StatusForbidden, msgNoKey)
	}
	return nil
}

// fromLoopback reports whether the client is on this machine.
func fromLoopback(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && client.Addr().Unmap().IsLoopback()
}

func (acc *access) allows(remote string) bool {
	client, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := client.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(acc.allowed, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// isLoopback reports whether a Host names this machine's loopback.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// hasLoopbackOrigin reports whether every Origin of a request is loopback; tools
// other than browsers send none.
func hasLoopbackOrigin(r *http.Request) bool {
	return !slices.ContainsFunc(r.Header.Values("Origin"), func(origin string) bool {
		u, err := url.Parse(origin)
		return err != nil || !isLoopback(u.Host)
	})
}

// checkKey refuses requests without a right key, and writes of viewers.
func (acc *access) checkKey(r *http.Request) *answer {
	if !acc.required {
		return nil
	}
	key, ok := keyOf(r)
	if !ok {
		return unauthorized(msgMissingKey)
	}
	hash := sha256.Sum256([]byte(key))
	known, full := 0, 0
	for i := range acc.keys {
		same := subtle.ConstantTimeCompare(hash[:], acc.keys[i].hash[:])
		known |= same
		if !acc.keys[i].viewer {
			full |= same
		}
	}
	switch {
	case known == 0:
		return unauthorized(msgWrongKey)
	case full == 0 && r.Method != http.MethodGet:
		return unauthorized(msgViewer)
	}
	return nil
}

// keyOf answers the key of the first source that has one, right or wrong.
func keyOf(r *http.Request) (key string, ok bool) {
	if query := r.URL.Query(); query.Has("api_key") {
		return query.Get("api_key"), true
	}
	if values := r.Header.Values("X-API-KEY"); len(values) > 0 {
		return values[0], true
	}
	if cookie, err := r.Cookie("x_api_key"); err == nil {
		return cookie.Value, true
	}
	return "", false
}

func unauthorized(description string) *answer {
	return &answer{status: http.StatusUnauthorized, body: map[string]string{"error_msg": msgCheckToken, "description": description}}
}
