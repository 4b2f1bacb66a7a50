package apis

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// corsMode says who answers for CORS: as the API was made, the gateway does.
type corsMode int

const (
	corsBackend corsMode = iota // the backend alone
	corsOn                      // the gateway, for what the backend leaves out
	corsOff                     // nobody: what the backend says is taken out
)

// keyCheck is where clients put a key or its secret.
type keyCheck struct {
	name   string
	query  bool // else a header
	secret bool
}

// parseChecks reads securityDefinitions. All of them are asked for with every
// request, as the original does. Kinds that cannot be checked are refused, as
// the API would be open without them.
func parseChecks(raw json.RawMessage) ([]keyCheck, error) {
	definitions, err := parseObject(raw)
	if err != nil {
		return nil, refusal(msgUnreadable("securityDefinitions"))
	}
	var checks []keyCheck
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		var d struct{ Type, Name, In string }
		if err := json.Unmarshal(definitions[name], &d); err != nil {
			return nil, refusal(msgUnreadable("securityDefinitions"))
		}
		if d.Type != "apiKey" || d.Name == "" || d.In != "header" && d.In != "query" {
			return nil, refusal(msgBadSecurity(name))
		}
		isSecret := strings.Contains(strings.ToLower(name+" "+d.Name), "secret")
		checks = append(checks, keyCheck{name: d.Name, query: d.In == "query", secret: isSecret})
	}
	slices.SortStableFunc(checks, func(a, b keyCheck) int { // the key is found before its secret is compared
		switch {
		case a.secret == b.secret:
			return 0
		case b.secret:
			return -1
		}
		return 1
	})
	if len(checks) > 2 || len(checks) > 0 && checks[0].secret || len(checks) == 2 && !checks[1].secret {
		return nil, refusal(msgBadSecurity(slices.Sorted(maps.Keys(definitions))[0]))
	}
	return checks, nil
}

// subscription is a client of an API. Only digests of its key and secret are
// kept: both are long and random, or as long as their owner chose.
type subscription struct {
	Name   string `json:"name,omitempty"`
	Key    []byte `json:"key"`
	Secret []byte `json:"secret,omitempty"`
	// Created is in ms since 1970.
	Created int64 `json:"created"`
}

func (s *subscription) key() (digest [sha256.Size]byte) {
	copy(digest[:], s.Key)
	return digest
}

// client finds who sends a request; ok is false if the API asks for a key and
// the request has none that is valid. The client of an open API is nil.
func (p *api) client(r *http.Request) (c *subscription, ok bool) {
	for _, check := range p.checks {
		given := r.Header.Get(check.name)
		if check.query {
			given = r.URL.Query().Get(check.name)
		}
		digest := sha256.Sum256([]byte(given))
		if !check.secret {
			c = p.clients[digest]
		}
		if given == "" || c == nil || check.secret && subtle.ConstantTimeCompare(c.Secret, digest[:]) != 1 {
			return nil, false
		}
	}
	return c, true
}

// limit bounds how many requests a client of an API may send, or all clients
// together if they have no keys. Counts start anew when a window of time does.
type limit struct {
	rate    uint64
	seconds int64
	windows sync.Map // digest of the client's key → *window
}

// window holds the number of the window in its upper half and the requests in
// it in its lower half, so that both change in one step.
type window struct{ state atomic.Uint64 }

// parseLimit reads the first rate limit of a text; nil if there is none.
func parseLimit(doc object) (*limit, error) {
	raw, ok := doc["x-gateway-rate-limit"]
	if !ok {
		raw = doc["x-ibm-rate-limit"]
	}
	if len(raw) == 0 {
		return nil, nil
	}
	var list []struct {
		Unit  string
		Units *int64
		Rate  *int64
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, refusal(msgBadRate)
	}
	if len(list) == 0 {
		return nil, nil
	}
	l, seconds := list[0], int64(60)
	switch l.Unit {
	case "second":
		seconds = 1
	case "hour":
		seconds = 3600
	case "day":
		seconds = 86400
	}
	const most = 1 << 20
	if l.Units == nil || l.Rate == nil || *l.Units < 1 || *l.Units > most || *l.Rate < 1 || *l.Rate > 1<<31 {
		return nil, refusal(msgBadRate)
	}
	return &limit{rate: uint64(*l.Rate), seconds: seconds * *l.Units}, nil
}

// same tells whether two limits allow the same, so that one may go on counting
// for the other.
func (l *limit) same(m *limit) bool {
	return l != nil && m != nil && l.rate == m.rate && l.seconds == m.seconds
}

// admit counts a request and answers whether it is within the limit.
func (l *limit) admit(c *subscription, now time.Time) bool {
	if l == nil {
		return true
	}
	var who [sha256.Size]byte
	if c != nil {
		who = c.key()
	}
	w, ok := l.windows.Load(who)
	if !ok {
		w, _ = l.windows.LoadOrStore(who, &window{})
	}
	return w.(*window).count(uint64(now.Unix()/l.seconds)) <= l.rate
}

// count adds one request to window number n and answers how many it then has.
func (w *window) count(n uint64) uint64 {
	for {
		old := w.state.Load()
		next := old + 1
		if old>>32 != n {
			next = n<<32 + 1
		}
		if w.state.CompareAndSwap(old, next) {
			return next & 0xffffffff
		}
	}
}

// keepOnly forgets the counts of clients that are gone.
func (l *limit) keepOnly(clients map[[sha256.Size]byte]*subscription) {
	l.windows.Range(func(who, _ any) bool {
		if digest := who.([sha256.Size]byte); clients[digest] == nil && digest != ([sha256.Size]byte{}) {
			l.windows.Delete(who)
		}
		return true
	})
}
