package feed

import "time"

// lateness is by how much an occurrence may be fired late. One that was missed by
// more is passed over, as are all but the newest of those missed by less.
const lateness = time.Minute

// plan says when an alarm fires.
type plan struct {
	// next answers the first occurrence after a time, zero if there is none.
	next func(time.Time) time.Time
	// start and stop bound the occurrences, both included; zero is no bound.
	start, stop time.Time
	// patient: what was missed is made up for however late.
	patient bool
}

// plan compiles the settings. zone finds time zones by name.
func (a *alarm) plan(zone func(string) (*time.Location, error)) (*plan, error) {
	p := &plan{}
	if a.Start > 0 {
		p.start = time.UnixMilli(a.Start)
	}
	if a.Stop > 0 {
		p.stop = time.UnixMilli(a.Stop)
	}
	switch {
	case a.Date > 0:
		p.next, p.patient = once(time.UnixMilli(a.Date)), true
	case a.Minutes > 0:
		p.next = every(p.start, time.Duration(a.Minutes)*time.Minute)
	default:
		in, err := zone(a.Timezone)
		if err != nil {
			return nil, err
		}
		pattern, err := parseCron(a.Cron, in)
		if err != nil {
			return nil, err
		}
		p.next = pattern.next
	}
	return p, nil
}

func once(date time.Time) func(time.Time) time.Time {
	return func(t time.Time) time.Time {
		if date.After(t) {
			return date
		}
		return time.Time{}
	}
}

func every(start time.Time, d time.Duration) func(time.Time) time.Time {
	return func(t time.Time) time.Time {
		if start.After(t) {
			return start
		}
		return start.Add(t.Sub(start).Truncate(d) + d)
	}
}

// first answers the first occurrence for an alarm made now, whatever its stop.
func (p *plan) first(now time.Time) time.Time {
	if p.start.After(now) {
		now = p.start.Add(-1) // the start itself counts
	}
	return p.next(now)
}

// due answers the occurrence to fire next, which may be over already, given the
// last one or, before there was any, when the alarm was made. Zero: there is none.
func (p *plan) due(last, now time.Time) time.Time {
	n := p.first(last)
	if !p.patient && now.Sub(n) > lateness {
		n = p.first(now.Add(-lateness))
	}
	for !n.IsZero() && !n.After(now) {
		m := p.next(n)
		if m.IsZero() || m.After(now) || p.past(m) {
			break
		}
		n = m
	}
	if p.past(n) {
		return time.Time{}
	}
	return n
}

// past tells whether a time is after the stop.
func (p *plan) past(t time.Time) bool { return !p.stop.IsZero() && t.After(p.stop) }
