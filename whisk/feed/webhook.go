package feed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"millrace/whisk/system"
)

func init() {
	Register(Package{
		Package: system.Package{
			Name:        "webhook",
			Annotations: system.Annotations("description", `"Fire triggers by signed HTTP requests of other services"`),
			Actions: []system.Action{
				{Name: "receive", Annotations: system.Describe("Fire trigger when a signed request arrives",
					`[{"name":"secret","required":false,"description":"The secret of the signatures, 16 to 256 characters; by default one is made, which GET on the URL shows to the owner"},`+
						`{"name":"requireTimestamp","required":false,"type":"boolean","description":"Refuse requests whose time is not signed"},`+
						`{"name":"tolerance","required":false,"type":"number","description":"By how many seconds the time of a request may differ, default 300"},`+
						`{"name":"rotate","required":false,"type":"boolean","description":"UPDATE: make a new secret"},`+
						`{"name":"overlap","required":false,"type":"number","description":"UPDATE: for how many seconds the secret before is accepted too"}]`,
					`{"requireTimestamp":true}`, `{"status":"success","url":"http://localhost:3233/api/v1/hooks/…"}`)},
			},
		},
		Path: "hooks",
		New: func(f *Feeds) Source {
			return &webhook{feeds: f, subs: map[string]*Subscription{}, addresses: map[ID]string{}}
		},
	})
}

// webhook is the source of events that come as signed requests.
type webhook struct {
	feeds *Feeds

	mu        sync.RWMutex
	subs      map[string]*Subscription // by hook.Address
	addresses map[ID]string
}

// hook is the settings of a subscription.
type hook struct {
	// Address is the last segment of the URL.
	Address string `json:"address"`
	// Secret is sealed; so is Previous, which is accepted until a time in ms.
	Secret   string `json:"secret"`
	Previous string `json:"previous,omitempty"`
	Until    int64  `json:"until,omitempty"`

	RequireTimestamp bool  `json:"requireTimestamp,omitempty"`
	Tolerance        int64 `json:"tolerance"` // seconds
}

const (
	defaultTolerance = 300
	maxTolerance     = 24 * 3600
	maxOverlap       = 7 * 24 * 3600
	minSecret        = 16
	maxSecret        = 256
)

// sealPurpose binds a sealed secret to its subscription.
func sealPurpose(s *Subscription) string { return "webhook/" + s.Namespace + "/" + s.Trigger }

func readHook(s *Subscription) (*hook, error) {
	h := &hook{}
	if err := json.Unmarshal(s.Settings, h); err != nil {
		return nil, fmt.Errorf("reading the settings of %s: %w", s.key(), err)
	}
	return h, nil
}

// Configure makes an address and a secret, or changes what there is.
func (w *webhook) Configure(s *Subscription, p Params) (json.RawMessage, error) {
	h := &hook{Address: randomHex(16), Tolerance: defaultTolerance}
	if s.Settings != nil {
		var err error
		if h, err = readHook(s); err != nil {
			return nil, err
		}
		if !p.Any("secret", "rotate", "tolerance") && !p.Get("requireTimestamp").Exists() {
			return nil, Refusal(msgNothingToUpdate)
		}
	}
	if p.Get("requireTimestamp").Exists() {
		h.RequireTimestamp = p.Given("requireTimestamp")
	}
	if p.Given("tolerance") {
		n, ok := p.Integer("tolerance")
		if !ok || n < 1 || n > maxTolerance {
			return nil, Refusal(msgSeconds("tolerance", 1, maxTolerance))
		}
		h.Tolerance = n
	}
	if err := w.setSecret(s, h, p); err != nil {
		return nil, err
	}
	return json.Marshal(h)
}

// setSecret takes the secret given, or makes one if there is none or another one
// is asked for.
func (w *webhook) setSecret(s *Subscription, h *hook, p Params) error {
	secret := p.Get("secret").String()
	switch {
	case secret != "" && (len(secret) < minSecret || len(secret) > maxSecret):
		return Refusal(msgSecretLength)
	case secret == "" && h.Secret != "" && !p.Given("rotate"):
		return nil
	case secret == "":
		secret = randomHex(32)
	}
	overlap := int64(0)
	if p.Given("overlap") {
		var ok bool
		if overlap, ok = p.Integer("overlap"); !ok || overlap < 0 || overlap > maxOverlap {
			return Refusal(msgSeconds("overlap", 0, maxOverlap))
		}
	}
	h.Previous, h.Until = "", 0
	if overlap > 0 {
		h.Previous, h.Until = h.Secret, time.Now().Add(time.Duration(overlap)*time.Second).UnixMilli()
	}
	h.Secret = w.feeds.cfg.Sealer.Seal(sealPurpose(s), secret)
	return nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// url is where requests go.
func (w *webhook) url(h *hook) string { return w.feeds.cfg.URL + "/api/v1/hooks/" + h.Address }

// Answer tells the URL.
func (w *webhook) Answer(s *Subscription, answer map[string]any) {
	if h, err := readHook(s); err == nil {
		answer["url"] = w.url(h)
	}
}

// Describe adds the settings, without the secret: answers are kept in activation
// records.
func (w *webhook) Describe(s *Subscription, config map[string]any) error {
	h, err := readHook(s)
	if err != nil {
		return err
	}
	config["url"] = w.url(h)
	config["requireTimestamp"] = h.RequireTimestamp
	config["tolerance"] = h.Tolerance
	if h.Until > time.Now().UnixMilli() {
		config["previousSecretUntil"] = isoTime(h.Until)
	}
	return nil
}

// Apply makes a subscription known by its address.
func (w *webhook) Apply(s *Subscription) error {
	h, err := readHook(s)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.subs, w.addresses[s.ID])
	w.subs[h.Address], w.addresses[s.ID] = s, h.Address
	return nil
}

// Forget makes it unknown.
func (w *webhook) Forget(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.subs, w.addresses[id])
	delete(w.addresses, id)
}

// at answers the subscription with an address, or nil.
func (w *webhook) at(address string) *Subscription {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.subs[address]
}

// Run has nothing to do: requests come by HTTP.
func (w *webhook) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// secrets opens those that are accepted at a time.
func (w *webhook) secrets(s *Subscription, h *hook, now time.Time) ([]string, error) {
	sealed := []string{h.Secret}
	if h.Previous != "" && now.UnixMilli() < h.Until {
		sealed = append(sealed, h.Previous)
	}
	var errs []error
	for i, text := range sealed {
		var err error
		if sealed[i], err = w.feeds.cfg.Sealer.Open(sealPurpose(s), text); err != nil {
			errs = append(errs, fmt.Errorf("opening the secret of %s: %w", s.key(), err))
		}
	}
	return sealed, errors.Join(errs...)
}

// addressOf answers the last segment of a path /api/v1/hooks/{address}.
func addressOf(path string) string {
	address, _ := strings.CutPrefix(path, "/api/v1/hooks/")
	return address
}
