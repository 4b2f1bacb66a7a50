package invoke

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"millrace/whisk"
)

// Annotations of actions that say what becomes of their accepted calls. See
// docs/async.md.
const (
	annotationRetries    = "retries"
	annotationDeadLetter = "dead-letter"
	annotationCompletion = "on-completion"
)

// Bounds of what annotations may ask for.
const (
	maxRetries     = 20
	minBackoff     = 10 * time.Millisecond
	mostBackoff    = 24 * time.Hour
	defaultBackoff = time.Second
	defaultCeiling = time.Minute
)

// The ends that "on" of the annotation retries can name.
var retryable = []string{"application", "developer", "timeout", "whisk"}

// policy is what an action's annotations ask for its accepted calls.
type policy struct {
	retries             int // attempts after the first
	backoff, maxBackoff time.Duration
	on                  []string
	deadLetter          bool
	completion          string // an http(s) URL or the path of an action; empty: nothing
}

// CheckPolicy answers nil or the 400 for annotations of an action that do not
// say in a known way what becomes of its accepted calls.
func CheckPolicy(l whisk.KeyValues) error {
	if _, err := policyOf(l); err != nil {
		return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgMalformed(err.Error())}
	}
	return nil
}

// policyOf reads the annotations. One that is malformed, which only an action
// that was put by other means can have, counts as missing.
func policyOf(l whisk.KeyValues) (policy, error) {
	var p policy
	var failure error
	if raw := l.Find(annotationRetries); raw != nil {
		if err := p.readRetries(raw); err != nil {
			p, failure = policy{}, fmt.Errorf("annotation %s: %w", annotationRetries, err)
		}
	}
	p.deadLetter = p.retries > 0
	if raw := l.Find(annotationDeadLetter); raw != nil {
		p.deadLetter = whisk.Truthy(raw)
	}
	if raw := l.Find(annotationCompletion); raw != nil && whisk.Truthy(raw) {
		if err := p.readCompletion(raw); err != nil {
			p.completion, failure = "", fmt.Errorf("annotation %s: %w", annotationCompletion, err)
		}
	}
	return p, failure
}

// readRetries reads a number, or {"max":3,"backoff":"1s","max-backoff":"1m","on":["developer"]}.
func (p *policy) readRetries(raw json.RawMessage) error {
	var say struct {
		Max        *int      `json:"max"`
		Backoff    string    `json:"backoff"`
		MaxBackoff string    `json:"max-backoff"`
		On         *[]string `json:"on"`
	}
	if whisk.IsObject(raw) {
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		if err := d.Decode(&say); err != nil {
			return fmt.Errorf("it has max, backoff, max-backoff and on: %w", err)
		}
	} else if err := json.Unmarshal(raw, &say.Max); err != nil {
		return fmt.Errorf("it is a number or an object")
	}
	if say.Max == nil || *say.Max < 0 || *say.Max > maxRetries {
		return fmt.Errorf("max is needed, from 0 to %d", maxRetries)
	}
	p.retries, p.on = *say.Max, []string{"developer", "timeout", "whisk"}
	if say.On != nil {
		p.on = *say.On
	}
	for _, end := range p.on {
		if !slices.Contains(retryable, end) {
			return fmt.Errorf("on may hold %s, not %q", strings.Join(retryable, ", "), end)
		}
	}
	var err error
	if p.backoff, err = readBackoff(say.Backoff, defaultBackoff); err != nil {
		return fmt.Errorf("backoff: %w", err)
	}
	if p.maxBackoff, err = readBackoff(say.MaxBackoff, max(defaultCeiling, p.backoff)); err != nil {
		return fmt.Errorf("max-backoff: %w", err)
	}
	return nil
}

func readBackoff(s string, absent time.Duration) (time.Duration, error) {
	if s == "" {
		return absent, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < minBackoff || d > mostBackoff {
		return 0, fmt.Errorf("a time from %v to %v is needed, such as 1s", minBackoff, mostBackoff)
	}
	return d, nil
}

func (p *policy) readCompletion(raw json.RawMessage) error {
	if err := json.Unmarshal(raw, &p.completion); err != nil {
		return fmt.Errorf("it is the URL of a webhook or the name of an action")
	}
	if strings.HasPrefix(p.completion, "http://") || strings.HasPrefix(p.completion, "https://") {
		u, err := url.Parse(p.completion)
		if err != nil || u.Hostname() == "" {
			return fmt.Errorf("%q is no URL", p.completion)
		}
		return nil
	}
	if _, err := whisk.ParseFullName(p.completion, "_"); err != nil || !strings.HasPrefix(p.completion, "/") {
		return fmt.Errorf("%q is neither a URL with http or https nor an action such as /_/name", p.completion)
	}
	return nil
}

// triesAgain tells whether a call that has failed so many times, at last with
// rec, is to be tried once more.
func (p *policy) triesAgain(failed int, rec *whisk.Activation) bool {
	return failed <= p.retries && slices.Contains(p.on, endOf(rec))
}

// endOf names how a call ended as "on" does, empty for success.
func endOf(rec *whisk.Activation) string {
	switch {
	case rec.Response.Status == whisk.ApplicationError:
		return "application"
	case rec.Response.Status == whisk.WhiskError:
		return "whisk"
	case rec.Response.Status != whisk.DeveloperError:
		return ""
	case string(rec.Annotations.Find("timeout")) == "true":
		return "timeout"
	}
	return "developer"
}

// pause is how long to wait after so many failures: twice as long each time, and
// up to a fifth longer by chance, so that what failed together does not come
// back together.
func (p *policy) pause(failed int) time.Duration {
	d := p.maxBackoff
	if shift := failed - 1; shift < 40 && p.backoff<<shift > 0 {
		d = min(d, p.backoff<<shift)
	}
	return d + rand.N(d/5+1)
}
