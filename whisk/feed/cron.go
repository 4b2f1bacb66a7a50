package feed

import (
	"errors"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // machines without time zones of their own

	"github.com/robfig/cron/v3"
)

// anyHour is the mark that the parser sets on a field that is "*".
const anyHour = 1 << 63

// maxPattern bounds a pattern in bytes: every second and minute spelled out fits.
const maxPattern = 1000

var cronParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// pattern is a cron pattern in a time zone.
//
// Where clocks are put forward, what was to happen in the hour that is left out
// happens at its end; where they are put back, what was to happen in the hour
// that comes twice happens in the first one. A pattern for every hour ("*") goes
// by the time that passes instead. This is how cron daemons do it.
type pattern struct {
	spec *cron.SpecSchedule
	zone *time.Location
}

// parseCron reads a pattern of 5 fields, or of 6 with seconds first.
func parseCron(text string, zone *time.Location) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, errors.New("a pattern of that length is no use")
	}
	fields := strings.Fields(text)
	if len(fields) < 5 || len(fields) > 6 || strings.Contains(text, "=") {
		return nil, errors.New("a cron pattern has 5 or 6 fields")
	}
	last := len(fields) - 1
	fields[last] = sundayZero(fields[last])
	schedule, err := cronParser.Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, err
	}
	s, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("not a pattern of fields")
	}
	for _, bits := range []uint64{s.Second, s.Minute, s.Hour, s.Dom, s.Month, s.Dow} {
		if bits == 0 { // "," names nothing, and looking for it would take for ever
			return nil, errors.New("an empty field")
		}
	}
	p := &pattern{spec: s, zone: zone}
	s.Location = time.UTC
	if s.Hour&anyHour != 0 {
		s.Location = zone
	}
	return p, nil
}

// sundayZero writes Sunday as 0 in a field of days of the week, where 7 is
// another name of it.
func sundayZero(field string) string {
	items := strings.Split(field, ",")
	for i, item := range items {
		days, step, stepped := strings.Cut(item, "/")
		from, to, ranged := strings.Cut(days, "-")
		switch {
		case days == "7":
			items[i] = "0"
		case ranged && to == "7":
			items[i] = weekdays(from, step, stepped)
		}
	}
	return strings.Join(items, ",")
}

// weekdays spells a range of days that ends with Sunday. What cannot be read is
// left to the parser to refuse.
func weekdays(from, step string, stepped bool) string {
	first, err := strconv.Atoi(from)
	every := 1
	if stepped && err == nil {
		every, err = strconv.Atoi(step)
	}
	if err != nil || first < 0 || first > 7 || every < 1 {
		return from + "-7"
	}
	var days []string
	for d := first; d <= 7; d += min(every, 8) {
		days = append(days, strconv.Itoa(d%7))
	}
	return strings.Join(days, ",")
}

// next answers the first time after t that fits, or the zero time if there is
// none in the next years.
func (p *pattern) next(t time.Time) time.Time {
	if p.spec.Location != time.UTC || p.zone == time.UTC {
		return p.spec.Next(t.In(p.spec.Location))
	}
	// What the clocks on the wall show, as if it were UTC.
	wall := t.In(p.zone)
	_, offset := wall.Zone()
	wall = wall.UTC().Add(time.Duration(offset) * time.Second)
	for {
		wall = p.spec.Next(wall)
		if wall.IsZero() {
			return wall
		}
		if at := shown(wall, p.zone); at.After(t) {
			return at
		}
	}
}

// shown answers when the clocks of a zone first show a time, or when they are put
// forward past it.
func shown(wall time.Time, zone *time.Location) time.Time {
	const day = 24 * time.Hour
	_, before := wall.Add(-day).In(zone).Zone()
	_, after := wall.Add(day).In(zone).Zone()
	for _, offset := range []int{max(before, after), min(before, after)} {
		at := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if _, o := at.Zone(); o == offset {
			return at
		}
	}
	// With the greater offset it is before the change, which ends its zone.
	_, end := wall.Add(-time.Duration(max(before, after)) * time.Second).In(zone).ZoneBounds()
	return end
}
