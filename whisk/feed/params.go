package feed

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Params are the parameters of a lifecycle call, those of the package included.
type Params struct{ object gjson.Result }

// Get answers a parameter; one that is absent is null.
func (p Params) Get(name string) gjson.Result { return p.object.Get(name) }

// Given tells whether a parameter says something: null, false and "" do not,
// since that is what packages give as a default.
func (p Params) Given(name string) bool {
	v := p.Get(name)
	return v.Exists() && v.Type != gjson.Null && v.Type != gjson.False && v.String() != ""
}

// Any tells whether one of several parameters is Given.
func (p Params) Any(names ...string) bool {
	for _, n := range names {
		if p.Given(n) {
			return true
		}
	}
	return false
}

// Payload answers what a trigger is to be fired with: an object as it is,
// anything else as {"payload":…}.
func (p Params) Payload(name string) json.RawMessage {
	switch v := p.Get(name); {
	case !p.Given(name):
		return json.RawMessage("{}")
	case v.IsObject():
		return json.RawMessage(v.Raw)
	default:
		return wrapped([]byte(v.Raw))
	}
}

// wrapped is {"payload":value}.
func wrapped(value []byte) []byte {
	return append(append([]byte(`{"payload":`), value...), '}')
}

// Integer answers a whole number, which may be given as text.
func (p Params) Integer(name string) (n int64, ok bool) {
	v := p.Get(name)
	switch v.Type {
	case gjson.Number:
		return int64(v.Num), v.Num == math.Trunc(v.Num) && math.Abs(v.Num) < 1<<53
	case gjson.String:
		n, err := strconv.ParseInt(strings.TrimSpace(v.Str), 10, 54)
		return n, err == nil
	}
	return 0, false
}

// dateForms are those of ISO 8601 that JavaScript reads; a date without a time
// zone is UTC. A year alone is a number of ms.
var dateForms = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02", "2006-01",
}

// maxDate bounds dates, in ms since 1970: the year 9999, the last that ISO 8601
// can write without further ado.
const maxDate = 253402300799999

// Date answers a date in ms since 1970, given as such a number or in ISO 8601. It
// must not be over.
func (p Params) Date(name string, now time.Time) (int64, error) {
	given := p.Get(name).String()
	ms, ok := p.Integer(name)
	for _, form := range dateForms {
		if ok {
			break
		}
		if t, err := time.Parse(form, strings.TrimSpace(given)); err == nil {
			ms, ok = t.UnixMilli(), true
		}
	}
	switch {
	case !ok || ms > maxDate || ms < -maxDate:
		return 0, Refusal(msgNoDate(name, shorten(given)))
	case ms <= now.UnixMilli():
		return 0, Refusal(msgPastDate(name, shorten(given)))
	}
	return ms, nil
}

// shorten keeps error texts readable, whatever was given.
func shorten(s string) string {
	const enough = 200
	if len(s) > enough {
		s = strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}
