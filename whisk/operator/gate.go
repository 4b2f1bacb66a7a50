package operator

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// A client that gave a wrong key maxFailures times in a minute has to wait for the
// next, whatever key it gives then: else it could go on guessing. maxClients
// bounds how many are remembered.
const (
	maxFailures = 10
	maxClients  = 4096
)

var (
	errWrongKey = refusal(http.StatusUnauthorized, msgWrongKey)
	errTooMany  = refusal(http.StatusTooManyRequests, msgTooManyFailures)
)

// gate lets those in who have the key.
type gate struct {
	// hash is the key's, so that comparing takes the same time whatever its length.
	hash [sha256.Size]byte

	mu       sync.Mutex
	minute   int64 // since 1970; the one that failures are of
	failures map[netip.Prefix]int
}

func newGate(key string) gate {
	return gate{hash: sha256.Sum256([]byte(key)), failures: map[netip.Prefix]int{}}
}

// admit answers nil, errWrongKey or errTooMany.
func (g *gate) admit(r *http.Request) error {
	client := clientOf(r.RemoteAddr)
	if g.failed(client, 0) >= maxFailures {
		return errTooMany
	}
	credentials := r.Header.Get("Authorization")
	if credentials == "" {
		return errWrongKey // nothing was guessed
	}
	scheme, key, _ := strings.Cut(credentials, " ")
	hash := sha256.Sum256([]byte(strings.TrimSpace(key)))
	if subtle.ConstantTimeCompare(hash[:], g.hash[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
		g.failed(client, 1)
		return errWrongKey
	}
	return nil
}

// failed adds to the failures of a client in this minute and answers how many
// those are.
func (g *gate) failed(client netip.Prefix, more int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now().Unix() / 60; now != g.minute {
		g.minute = now
		clear(g.failures)
	}
	n := g.failures[client] + more
	if _, known := g.failures[client]; !known && len(g.failures) >= maxClients {
		return maxFailures // so many clients at once are an attack: nobody new gets in
	}
	if more > 0 {
		g.failures[client] = n
	}
	return n
}

// clientOf is whom failures are counted for: an address, or an IPv6 network of
// those that are given out whole.
func clientOf(remote string) netip.Prefix {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip := addr.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // bits are in range
	return p
}

// ReadKey reads the operator key from a file.
func ReadKey(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the operator key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if len(key) < MinKeyLength {
		return "", fmt.Errorf("%s holds no key of at least %d characters", path, MinKeyLength)
	}
	return key, nil
}
