package feed

import (
	"strings"
	"testing"
	"time"
)

// Where clocks change, a time of day happens once on every day.
func TestCronAcrossClockChanges(t *testing.T) {
	for _, c := range []struct{ name, pattern, zone, from, want string }{
		{"left out", "30 2 * * *", "America/New_York", "2000-04-01T12:00:00-05:00",
			"2000-04-02T03:00:00-04:00 2000-04-03T02:30:00-04:00"},
		{"left out twice", "0,30 2 * * *", "America/New_York", "2000-04-01T12:00:00-05:00",
			"2000-04-02T03:00:00-04:00 2000-04-03T02:00:00-04:00"},
		{"at the change", "0 3 * * *", "America/New_York", "2000-04-01T12:00:00-05:00",
			"2000-04-02T03:00:00-04:00 2000-04-03T03:00:00-04:00"},
		{"comes twice", "30 1 * * *", "America/New_York", "2000-10-28T12:00:00-04:00",
			"2000-10-29T01:30:00-04:00 2000-10-30T01:30:00-05:00"},
		{"asked in the second hour", "30 1 * * *", "America/New_York", "2000-10-29T01:10:00-05:00",
			"2000-10-30T01:30:00-05:00 2000-10-31T01:30:00-05:00"},
		{"comes twice in Berlin", "0 2 * * *", "Europe/Berlin", "2000-10-28T12:00:00+02:00",
			"2000-10-29T02:00:00+02:00 2000-10-30T02:00:00+01:00"},
		{"every hour, left out", "0 * * * *", "Europe/Berlin", "2000-03-26T00:30:00+01:00",
			"2000-03-26T01:00:00+01:00 2000-03-26T03:00:00+02:00 2000-03-26T04:00:00+02:00"},
		{"every hour, twice", "0 * * * *", "Europe/Berlin", "2000-10-29T01:30:00+02:00",
			"2000-10-29T02:00:00+02:00 2000-10-29T02:00:00+01:00 2000-10-29T03:00:00+01:00"},
		{"half an hour's change", "15 2 * * *", "Australia/Lord_Howe", "2000-08-26T12:00:00+10:30",
			"2000-08-27T02:30:00+11:00 2000-08-28T02:15:00+11:00"},
		{"a day left out", "0 9 * * *", "Pacific/Apia", "2011-12-29T08:00:00-10:00",
			"2011-12-29T09:00:00-10:00 2011-12-31T00:00:00+14:00 2011-12-31T09:00:00+14:00"},
		{"leap day", "0 0 29 2 *", "UTC", "2001-01-01T00:00:00Z", "2004-02-29T00:00:00Z 2008-02-29T00:00:00Z"},
		{"either day", "0 0 13 * 5", "UTC", "2000-01-01T00:00:00Z", "2000-01-07T00:00:00Z 2000-01-13T00:00:00Z 2000-01-14T00:00:00Z"},
		{"names", "0 0 * feb MON", "UTC", "2000-01-01T00:00:00Z", "2000-02-07T00:00:00Z"},
		{"seconds", "15,45 * * * * *", "UTC", "2000-01-01T00:00:15Z", "2000-01-01T00:00:45Z 2000-01-01T00:01:15Z"},
		{"to Sunday in steps", "0 0 * * 5-7/2", "UTC", "2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z 2000-01-07T00:00:00Z 2000-01-09T00:00:00Z"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseCron(c.pattern, zone)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		at, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		for want := range strings.FieldsSeq(c.want) {
			at = p.next(at)
			if got := at.In(zone).Format(time.RFC3339); got != want {
				t.Errorf("%s: %s after %s, want %s", c.name, got, c.from, want)
				break
			}
		}
	}
}

func TestBadCron(t *testing.T) {
	for _, pattern := range []string{
		"", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
		"TZ=UTC * * * * *", "TZ=0", "CRON_TZ=Mars/Base 1 * * * *", "@hourly", "@every 1s", "*/0 * * * *", "5-1 * * * *", "a * * * *",
		", * * * *", "* * * * ,", "1--2 * * * *", "* * * * 7-7/0", "* * * * x-7", strings.Repeat("1,", 500) + "1 * * * *",
	} {
		if _, err := parseCron(pattern, time.UTC); err == nil {
			t.Errorf("%q was accepted", pattern)
		}
	}
}

// A pattern that is read answers times that are later, and comes to an end.
func FuzzCron(f *testing.F) {
	for _, pattern := range []string{"* * * * *", "*/5 1-3 * jan MON-FRI", "0 0 29 2 *", "15 30 2 * * 5-7/2", "TZ=0", ",,,,,"} {
		f.Add(pattern, "America/New_York", int64(972777600))
	}
	f.Fuzz(func(t *testing.T, pattern, name string, from int64) {
		zone, err := time.LoadLocation(name)
		if err != nil || from < 0 || from > maxDate/1000 {
			return
		}
		p, err := parseCron(pattern, zone)
		if err != nil {
			return
		}
		at := time.Unix(from, 0)
		for range 3 {
			next := p.next(at)
			if next.IsZero() {
				break
			}
			if !next.After(at) {
				t.Fatalf("%q in %s: %s follows %s", pattern, name, next, at)
			}
			at = next
		}
	})
}

// What a plan answers lies between its bounds and does not go back.
func TestDue(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.DateTime, "2000-01-01 "+text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	minutely := &plan{next: every(at("00:00:00"), time.Minute)}
	for _, c := range []struct {
		name, last, now, want string
		stop                  string
	}{
		{"ahead", "10:00:00", "10:00:30", "10:01:00", ""},
		{"late", "10:00:00", "10:01:20", "10:01:00", ""},
		{"the newest of those missed", "10:00:00", "10:30:20", "10:30:00", ""},
		{"the last before the stop", "10:00:00", "10:01:20", "10:01:00", "10:01:00"},
		{"after the stop", "10:00:00", "10:00:30", "", "10:00:45"},
		{"the clock was put back", "10:00:00", "09:00:00", "10:01:00", ""},
	} {
		p := *minutely
		if c.stop != "" {
			p.stop = at(c.stop)
		}
		want := time.Time{}
		if c.want != "" {
			want = at(c.want)
		}
		if got := p.due(at(c.last), at(c.now)); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}
