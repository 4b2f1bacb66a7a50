package feed

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/system"
)

const (
	documentedPayload = `{"name":"trigger_payload","required":false,"description":"The payload to pass to the trigger, varies"},`
	documentedStart   = `{"name":"startDate","required":false,"description":"The date when the trigger will start"},`
	documentedStop    = `{"name":"stopDate","required":false,"description":"The date when the trigger will stop"}`
)

func init() {
	Register(Package{
		Package: system.Package{
			Name:        "alarms",
			Annotations: system.Annotations("description", `"Fire triggers at a time of day, in intervals, or once"`),
			Parameters:  system.Annotations("apihost", `""`, "trigger_payload", `""`),
			Actions: []system.Action{
				{Name: "alarm", Annotations: system.Describe("Fire trigger when alarm occurs",
					`[`+documentedPayload+documentedStart+documentedStop+`,{"name":"cron","required":true,"description":"Five fields (minute, hour, day of month, month, day of week) or six, seconds first"},{"name":"timezone","required":false,"description":"Such as Europe/Berlin; the default is UTC"},{"name":"maxTriggers","required":false,"description":"After how many times it stops"}]`,
					`{"cron":"0 9 * * 1-5","timezone":"Europe/Berlin","trigger_payload":{"name":"Odin"}}`, `{"status":"success"}`)},
				{Name: "interval", Annotations: system.Describe("Fire trigger at specified interval",
					`[`+documentedPayload+documentedStart+documentedStop+`,{"name":"minutes","required":true,"description":"The number of minutes between trigger fires"}]`,
					`{"minutes":30}`, `{"status":"success"}`)},
				{Name: "once", Annotations: system.Describe("Fire trigger once when alarm occurs",
					`[`+documentedPayload+`{"name":"date","required":true,"description":"The date when to fire the trigger"},{"name":"deleteAfterFire","required":false,"description":"false, true to delete the trigger after it fires, or rules to delete its rules too"}]`,
					`{"date":"2027-01-01T00:00:00Z","deleteAfterFire":"rules"}`, `{"status":"success"}`)},
			},
		},
		New: func(f *Feeds) Source { return newTimetable(f) },
	})
}

// alarm is the settings of a subscription to one of the alarms. Dates are in ms
// since 1970, 0 for none.
type alarm struct {
	Payload         json.RawMessage `json:"payload"`
	Strict          json.RawMessage `json:"strict,omitempty"` // as given: nothing depends on it
	Cron            string          `json:"cron,omitempty"`
	Timezone        string          `json:"timezone,omitempty"`
	Start           int64           `json:"start,omitempty"`
	Stop            int64           `json:"stop,omitempty"`
	Maximum         int64           `json:"maximum,omitempty"`
	Minutes         int64           `json:"minutes,omitempty"`
	Date            int64           `json:"date,omitempty"`
	DeleteAfterFire string          `json:"deleteAfterFire,omitempty"`
}

// updatable are the parameters of which an UPDATE gives at least one.
var updatable = map[string][]string{
	"alarm":    {"trigger_payload", "cron", "timezone", "startDate", "stopDate", "maxTriggers", "strict"},
	"interval": {"trigger_payload", "minutes", "startDate", "stopDate"},
	"once":     {"trigger_payload", "date", "deleteAfterFire"},
}

// Configure reads the parameters of an alarm over what it has.
func (t *timetable) Configure(s *Subscription, p Params) (json.RawMessage, error) {
	now := time.Now()
	a := alarm{Payload: json.RawMessage("{}")}
	if s.Settings != nil {
		if err := json.Unmarshal(s.Settings, &a); err != nil {
			return nil, fmt.Errorf("reading the settings of %s: %w", s.key(), err)
		}
		if !p.Any(updatable[s.Feed]...) {
			return nil, Refusal(msgNothingToUpdate)
		}
	}
	read := map[string]func(Params, time.Time) error{
		"alarm":    func(p Params, now time.Time) error { return t.readCron(&a, p, now) },
		"interval": a.readInterval,
		"once":     a.readOnce,
	}[s.Feed]
	if err := read(p, now); err != nil {
		return nil, err
	}
	if p.Given("trigger_payload") {
		a.Payload = p.Payload("trigger_payload")
	}
	if n, limit := int64(len(a.Payload)), t.feeds.cfg.MaxPayload; n > limit {
		return nil, Refusal(whisk.MsgTooLarge("trigger_payload", n, limit))
	}
	return json.Marshal(a)
}

func (t *timetable) readCron(a *alarm, p Params, now time.Time) error {
	if err := t.readPattern(a, p); err != nil {
		return err
	}
	if err := a.readLimits(p, now); err != nil {
		return err
	}
	if v := p.Get("strict"); p.Given("strict") || v.Type == gjson.False {
		if s := v.String(); s != "true" && s != "false" {
			return Refusal(msgStrict)
		}
		a.Strict = json.RawMessage(v.Raw)
	}
	plan, err := a.plan(t.zone)
	if err != nil {
		return err
	}
	switch first := plan.first(now); {
	case first.IsZero():
		return Refusal(msgCronInvalid(shorten(a.Cron)))
	case a.Stop > 0 && first.UnixMilli() > a.Stop:
		return Refusal(msgFirstAfterStop)
	}
	return nil
}

// readPattern reads when an alarm fires.
func (t *timetable) readPattern(a *alarm, p Params) error {
	if p.Given("cron") {
		a.Cron = p.Get("cron").String()
	}
	if a.Cron == "" {
		return Refusal(msgCronMissing)
	}
	if len(strings.Fields(a.Cron)) > t.feeds.cfg.CronFields {
		return Refusal(msgCronTooFine)
	}
	if p.Given("timezone") {
		a.Timezone = p.Get("timezone").String()
	}
	zone, err := t.zone(a.Timezone)
	if err != nil {
		return Refusal(msgTimezone)
	}
	if _, err := parseCron(a.Cron, zone); err != nil {
		return Refusal(msgCronInvalid(shorten(a.Cron)))
	}
	return nil
}

// readLimits reads between which dates an alarm fires, and how often at most.
func (a *alarm) readLimits(p Params, now time.Time) error {
	var err error
	if p.Given("startDate") {
		if a.Start, err = p.Date("startDate", now); err != nil {
			return err
		}
	}
	if p.Given("stopDate") {
		if p.Given("maxTriggers") {
			return Refusal(msgStopAndMaximum)
		}
		if a.Stop, err = p.Date("stopDate", now); err != nil {
			return err
		}
		a.Maximum = 0
	}
	if p.Given("maxTriggers") {
		n, ok := p.Integer("maxTriggers")
		if !ok || n < 1 && n != -1 { // -1 is how it is said that there is no limit
			return Refusal(msgMaximumNoPositive)
		}
		a.Maximum, a.Stop = max(n, 0), 0
	}
	if a.Stop > 0 && a.Start >= a.Stop {
		stop, start := p.Get("stopDate").String(), p.Get("startDate").String()
		if stop == "" {
			stop = isoTime(a.Stop)
		}
		if start == "" {
			start = isoTime(a.Start)
		}
		return Refusal(msgStopBeforeStart(shorten(stop), shorten(start)))
	}
	return nil
}

const (
	// firstInterval is when an interval without a start date begins.
	firstInterval = 30 * time.Second
	// maxMinutes bounds an interval: a hundred years.
	maxMinutes = 100 * 365 * 24 * 60
)

func (a *alarm) readInterval(p Params, now time.Time) error {
	switch n, ok := p.Integer("minutes"); {
	case !p.Given("minutes"):
		if a.Minutes == 0 {
			return Refusal(msgMinutesMissing)
		}
	case !ok:
		return Refusal(msgMinutesNoInteger)
	case n <= 0:
		return Refusal(msgMinutesNoPositive)
	default:
		a.Minutes = min(n, maxMinutes)
	}
	if a.Start == 0 {
		a.Start = now.Add(firstInterval).UnixMilli()
	}
	return a.readLimits(p, now)
}

func (a *alarm) readOnce(p Params, now time.Time) error {
	if !p.Given("date") && a.Date == 0 {
		return Refusal(msgDateMissing)
	}
	if a.DeleteAfterFire == "" {
		a.DeleteAfterFire = "false"
	}
	if v := p.Get("deleteAfterFire"); p.Given("deleteAfterFire") || v.Type == gjson.False {
		switch s := strings.ToLower(v.String()); s {
		case "false", "true", "rules":
			a.DeleteAfterFire = s
		default:
			return Refusal(msgDeleteAfterFire)
		}
	}
	if !p.Given("date") {
		return nil
	}
	var err error
	a.Date, err = p.Date("date", now)
	return err
}

// Describe adds an alarm's settings.
func (t *timetable) Describe(s *Subscription, config map[string]any) error {
	var a alarm
	if err := json.Unmarshal(s.Settings, &a); err != nil {
		return fmt.Errorf("reading the settings of %s: %w", s.key(), err)
	}
	config["payload"] = a.Payload
	for name, value := range map[string]string{"cron": a.Cron, "timezone": a.Timezone, "deleteAfterFire": a.DeleteAfterFire} {
		if value != "" {
			config[name] = value
		}
	}
	for name, ms := range map[string]int64{"startDate": a.Start, "stopDate": a.Stop, "date": a.Date} {
		if ms > 0 {
			config[name] = isoTime(ms)
		}
	}
	if a.Strict != nil {
		config["strict"] = a.Strict
	}
	if a.Minutes > 0 {
		config["minutes"] = a.Minutes
	}
	if a.Maximum > 0 {
		config["maxTriggers"] = a.Maximum
	}
	return nil
}
