package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/whisk"
)

// bubble runs a test in which time is simulated: it begins at 2000-01-01T00:00Z.
func bubble(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.trigger("t")
		test(t, s)
		s.close()
	})
}

// The texts of spec/openwhisk.md §4.7.
func TestAlarmRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		for _, c := range []struct{ feed, params, want string }{
			{"alarm", ``, "alarms trigger feed is missing the cron parameter"},
			{"alarm", `,"cron":""`, "alarms trigger feed is missing the cron parameter"},
			{"alarm", `,"cron":"* * * *"`, "cron pattern '* * * *' is not valid"},
			{"alarm", `,"cron":"61 * * * *"`, "cron pattern '61 * * * *' is not valid"},
			{"alarm", `,"cron":"@daily"`, "cron pattern '@daily' is not valid"},
			{"alarm", `,"cron":"TZ=UTC * * * * *"`, "cron pattern 'TZ=UTC * * * * *' is not valid"},
			{"alarm", `,"cron":", * * * * *"`, "cron pattern ', * * * * *' is not valid"},
			{"alarm", `,"cron":"0 0 30 2 *"`, "cron pattern '0 0 30 2 *' is not valid"},
			{"alarm", `,"cron":"* * * * *","timezone":"Mars/Base"`, "Invalid timezone."},
			{"alarm", `,"cron":"* * * * *","timezone":"Local"`, "Invalid timezone."},
			{"alarm", `,"cron":"* * * * *","timezone":"../etc/passwd"`, "Invalid timezone."},
			{"alarm", `,"cron":"* * * * *","startDate":"soon"`, "startDate parameter 'soon' is not a valid Date"},
			{"alarm", `,"cron":"* * * * *","startDate":1000`, "startDate parameter '1000' must be in the future"},
			{"alarm", `,"cron":"* * * * *","stopDate":{}`, "stopDate parameter '{}' is not a valid Date"},
			{"alarm", `,"cron":"* * * * *","stopDate":"1999-12-31"`, "stopDate parameter '1999-12-31' must be in the future"},
			{"alarm", `,"cron":"* * * * *","startDate":"2001-01-02","stopDate":"2001-01-01"`, "stopDate parameter '2001-01-01' must be greater than the startDate parameter '2001-01-02'"},
			{"alarm", `,"cron":"* * * * *","stopDate":"2001-01-01","maxTriggers":3`, "maxTriggers is not allowed when the stopDate parameter is specified"},
			{"alarm", `,"cron":"0 0 2 1 *","stopDate":"2000-01-01T12:00:00Z"`, "the first scheduled trigger fire is not until after the stop date"},
			{"alarm", `,"cron":"* * * * *","maxTriggers":0.5`, "the maxTriggers parameter must be an integer greater than zero"},
			{"alarm", `,"cron":"* * * * *","strict":"perhaps"`, "the strict parameter must be true or false"},
			{"interval", ``, "interval trigger feed is missing the minutes parameter"},
			{"interval", `,"minutes":"soon"`, "the minutes parameter must be an integer"},
			{"interval", `,"minutes":1.5`, "the minutes parameter must be an integer"},
			{"interval", `,"minutes":0`, "the minutes parameter must be an integer greater than zero"},
			{"interval", `,"minutes":-3`, "the minutes parameter must be an integer greater than zero"},
			{"interval", `,"minutes":3,"startDate":"x"`, "startDate parameter 'x' is not a valid Date"},
			{"interval", `,"minutes":3,"startDate":"2001-01","stopDate":"2000-06"`, "stopDate parameter '2000-06' must be greater than the startDate parameter '2001-01'"},
			{"once", ``, "alarms once trigger feed is missing the date parameter"},
			{"once", `,"date":"tomorrow"`, "date parameter 'tomorrow' is not a valid Date"},
			{"once", `,"date":"1999-12-31T23:59:59Z"`, "date parameter '1999-12-31T23:59:59Z' must be in the future"},
			{"once", `,"date":"2001-01-01","deleteAfterFire":"perhaps"`, "deleteAfterFire parameter must be one of [false, true, rules]."},
		} {
			if got := s.call("alarms/"+c.feed, "CREATE", "/_/t", c.params); got != "error: "+c.want {
				t.Errorf("%s %s: %s, want %s", c.feed, c.params, got, c.want)
			}
		}
	})
}

func TestAlarmTooFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.close()
		s.cronFields = 5
		s.open()
		s.trigger("t")
		want := "error: cron pattern is limited to 5 fields with 1 minute as the finest granularity"
		if got := s.call("alarms/alarm", "CREATE", "/_/t", `,"cron":"* * * * * *"`); got != want {
			t.Errorf("six fields: %s", got)
		}
		s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"* * * * *"`)
		s.close()
	})
}

func TestRead(t *testing.T) {
	const status = `"status":{"active":true,"dateChanged":946684800000,"dateChangedISO":"2000-01-01T00:00:00.000Z"}`
	for _, c := range []struct{ feed, params, config string }{
		{"alarm", `,"cron":"0 9 * * 1-5","timezone":"Europe/Berlin","strict":"true","trigger_payload":{"name":"Odin"}`,
			`"payload":{"name":"Odin"},"cron":"0 9 * * 1-5","timezone":"Europe/Berlin","strict":"true"`},
		{"alarm", `,"cron":"* * * * *","startDate":946771200000,"stopDate":"2000-01-03T01:00:00+01:00","trigger_payload":"hi"`,
			`"payload":{"payload":"hi"},"cron":"* * * * *","startDate":"2000-01-02T00:00:00.000Z","stopDate":"2000-01-03T00:00:00.000Z"`},
		{"alarm", `,"cron":"* * * * *","maxTriggers":3,"trigger_payload":[1]`, `"payload":{"payload":[1]},"cron":"* * * * *","maxTriggers":3`},
		{"interval", `,"minutes":"7"`, `"payload":{},"minutes":7,"startDate":"2000-01-01T00:00:30.000Z"`},
		{"once", `,"date":"2000-01-02","deleteAfterFire":true`, `"payload":{},"date":"2000-01-02T00:00:00.000Z","deleteAfterFire":"true"`},
		{"once", `,"date":"946771200000"`, `"payload":{},"date":"2000-01-02T00:00:00.000Z","deleteAfterFire":"false"`},
	} {
		bubble(t, func(t *testing.T, s *site) {
			s.mustCall("alarms/"+c.feed, "CREATE", "/_/t", c.params)
			var got, want any
			if err := json.Unmarshal([]byte(s.call("alarms/"+c.feed, "READ", "/guest/t", "")), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(`{"config":{"name":"t","namespace":"guest",`+c.config+`},`+status+`}`), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", c.feed, c.params, diff)
			}
		})
	}
}

// When alarms fire, what with, and how they end.
func TestFiring(t *testing.T) {
	for _, c := range []struct {
		name, feed, params string
		run                time.Duration
		want               string // day and time of each firing
		active             bool
		reason             string
	}{
		{"every second", "alarm", `,"cron":"* * * * * *"`, 3500 * time.Millisecond, "01T00:00:01 01T00:00:02 01T00:00:03", true, ""},
		{"every minute", "alarm", `,"cron":"* * * * *"`, 2*time.Minute + time.Second, "01T00:01:00 01T00:02:00", true, ""},
		{"a list and a step", "alarm", `,"cron":"0 */6,9 * * *"`, 24 * time.Hour, "01T06:00:00 01T09:00:00 01T12:00:00 01T18:00:00 02T00:00:00", true, ""},
		{"Sunday is 7 too", "alarm", `,"cron":"0 0 * * 7"`, 9 * 24 * time.Hour, "02T00:00:00 09T00:00:00", true, ""},
		{"to Sunday", "alarm", `,"cron":"0 0 * * 6-7"`, 9 * 24 * time.Hour, "02T00:00:00 08T00:00:00 09T00:00:00", true, ""},
		{"in a zone", "alarm", `,"cron":"0 9 * * *","timezone":"Asia/Tokyo"`, 25 * time.Hour, "02T00:00:00", true, ""},
		{"from a start", "alarm", `,"cron":"* * * * *","startDate":"2000-01-01T01:00:00Z"`, time.Hour + time.Minute, "01T01:00:00 01T01:01:00", true, ""},
		{"to a stop", "alarm", `,"cron":"* * * * *","stopDate":"2000-01-01T00:02:00Z"`, time.Hour, "01T00:01:00 01T00:02:00", false, "Automatically disabled after reaching the stop date"},
		{"three times", "alarm", `,"cron":"* * * * *","maxTriggers":3`, time.Hour, "01T00:01:00 01T00:02:00 01T00:03:00", false, "Automatically disabled after reaching max triggers"},
		{"interval", "interval", `,"minutes":2`, 5 * time.Minute, "01T00:00:30 01T00:02:30 01T00:04:30", true, ""},
		{"interval from a start", "interval", `,"minutes":60,"startDate":"2000-01-01T06:00:00.000Z","stopDate":"2000-01-01T07:30:00Z"`, 24 * time.Hour, "01T06:00:00 01T07:00:00", false, "Automatically disabled after reaching the stop date"},
		{"once", "once", `,"date":"2000-01-01T12:00:00.5Z"`, 24 * time.Hour, "01T12:00:00", false, "Automatically disabled after firing once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.mustCall("alarms/"+c.feed, "CREATE", "/_/t", c.params+`,"trigger_payload":{"a":1}`)
				time.Sleep(c.run)
				synctest.Wait()
				fired := s.firer.take()
				if got := times(fired); got != c.want {
					t.Errorf("fired at %s, want %s", got, c.want)
				}
				for _, f := range fired {
					if f.trigger != "guest/t" || f.payload != `{"a":1}` || f.caller.Namespace != "guest" {
						t.Errorf("fired %+v", f)
					}
				}
				s.expectStatus("alarms/"+c.feed, c.active, c.reason)
			})
		})
	}
}

func TestUpdate(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		const alarm = "alarms/alarm"
		s.mustCall(alarm, "CREATE", "/_/t", `,"cron":"* * * * * *","maxTriggers":2,"trigger_payload":{"a":1}`)
		for _, params := range []string{"", `,"cron":""`, `,"minutes":3`} {
			if got := s.call(alarm, "UPDATE", "/_/t", params); got != "error: no updatable parameters were specified" {
				t.Errorf("UPDATE with %q: %s", params, got)
			}
		}
		time.Sleep(10 * time.Second)
		s.expectStatus(alarm, false, "Automatically disabled after reaching max triggers")
		s.firer.take()
		s.mustCall(alarm, "UPDATE", "/_/t", `,"cron":"*/5 * * * * *"`) // counts anew, keeps the payload
		time.Sleep(20 * time.Second)
		synctest.Wait()
		fired := s.firer.take()
		if got := times(fired); got != "01T00:00:15 01T00:00:20" {
			t.Errorf("after an UPDATE fired at %s", got)
		}
		if fired[0].payload != `{"a":1}` {
			t.Errorf("after an UPDATE fired with %s", fired[0].payload)
		}
	})
}

func TestPause(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"*/10 * * * * *"`)
		time.Sleep(15 * time.Second)
		s.mustCall("alarms/alarm", "PAUSE", "/_/t", "")
		time.Sleep(10 * time.Second)
		s.mustCall("alarms/alarm", "UNPAUSE", "/_/t", "")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := times(s.firer.take()); got != "01T00:00:10 01T00:00:30" {
			t.Errorf("fired at %s", got)
		}
	})
}

func TestDeleteStops(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"*/10 * * * * *"`)
		time.Sleep(15 * time.Second)
		s.mustCall("alarms/alarm", "DELETE", "/_/t", "")
		time.Sleep(time.Minute)
		if got := times(s.firer.take()); got != "01T00:00:10" {
			t.Errorf("fired at %s", got)
		}
	})
}

// The trigger, and if asked for its rules, go after they have fired.
func TestDeleteAfterFire(t *testing.T) {
	for value, left := range map[string]string{`"false"`: "trigger rule", `true`: "rule", `"rules"`: ""} {
		bubble(t, func(t *testing.T, s *site) {
			trig, _ := s.triggers.Trigger("guest", "t")
			_, err := s.triggers.PutRule(context.Background(), &whisk.Rule{Namespace: "guest", Name: "r", Version: "0.0.1",
				Trigger: whisk.FullName{Namespace: "guest", Name: "t"}, TriggerID: trig.ID, Active: true})
			if err != nil {
				t.Fatal(err)
			}
			s.mustCall("alarms/once", "CREATE", "/_/t", `,"date":"2000-01-01T01:00Z","deleteAfterFire":`+value)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			var got []string
			if _, ok := s.triggers.Trigger("guest", "t"); ok {
				got = append(got, "trigger")
			}
			if _, ok := s.triggers.Rule("guest", "r"); ok {
				got = append(got, "rule")
			}
			if strings.Join(got, " ") != left || len(s.firer.take()) != 1 {
				t.Errorf("deleteAfterFire %s leaves %v", value, got)
			}
		})
	}
}

// What was missed while the platform was down: the newest one of the last minute is
// made up for, and a single date in any case; what fired does not fire again.
func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name, feed, params string
		down               time.Duration // from 00:00:35 on
		want               string        // what fires in the ten seconds after
	}{
		{"nothing missed", "alarm", `,"cron":"*/30 * * * * *"`, 20 * time.Second, "01T00:01:00"},
		{"one missed", "alarm", `,"cron":"*/30 * * * * *"`, 30 * time.Second, "01T00:01:05"},
		{"several missed", "alarm", `,"cron":"*/5 * * * * *"`, 32 * time.Second, "01T00:01:07 01T00:01:10 01T00:01:15"},
		{"missed long ago", "alarm", `,"cron":"30 0 1 * * *"`, 3 * time.Hour, ""},
		{"an interval", "interval", `,"minutes":2`, 118 * time.Second, "01T00:02:33"},
		{"a date missed", "once", `,"date":"2000-01-01T00:01:00Z"`, 3 * time.Hour, "01T03:00:35"},
		{"a date that fired", "once", `,"date":"2000-01-01T00:00:30Z"`, 3 * time.Hour, ""},
		{"a number of times", "alarm", `,"cron":"*/15 * * * * *","maxTriggers":3`, time.Hour, "01T01:00:35"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.mustCall("alarms/"+c.feed, "CREATE", "/_/t", c.params)
				time.Sleep(35 * time.Second)
				s.close()
				s.firer.take()
				time.Sleep(c.down)
				s.open()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := times(s.firer.take()); got != c.want {
					t.Errorf("fired at %s, want %s", got, c.want)
				}
			})
		})
	}
}

// A trigger that refuses switches the alarm off; trouble that passes does not.
func TestRefusedFiring(t *testing.T) {
	for _, c := range []struct {
		status int
		active bool
		reason string
	}{
		{http.StatusNotFound, false, "Automatically disabled after receiving a 404 status code when firing the trigger"},
		{http.StatusForbidden, false, "Automatically disabled after receiving a 403 status code when firing the trigger"},
		{http.StatusRequestEntityTooLarge, false, "Automatically disabled after receiving a 413 status code when firing the trigger"},
		{http.StatusRequestTimeout, true, ""},
		{http.StatusTooManyRequests, true, ""},
		{http.StatusInternalServerError, true, ""},
	} {
		bubble(t, func(t *testing.T, s *site) {
			s.firer.setRefuse(func(string) error { return &whisk.Error{Status: c.status, Msg: "no"} })
			s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"* * * * *"`)
			time.Sleep(time.Minute + 2*time.Second)
			synctest.Wait()
			s.expectStatus("alarms/alarm", c.active, c.reason)
			s.firer.setRefuse(nil)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			want := ""
			if c.active {
				want = "01T00:01:03" // attempts after 1, 3, 7 … seconds
			}
			if got := times(s.firer.take()); got != want {
				t.Errorf("after %d fired at %s, want %s", c.status, got, want)
			}
		})
	}
}

// An occurrence that cannot be fired is given up when the next one comes.
func TestGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.firer.setRefuse(func(string) error { return &whisk.Error{Status: http.StatusTooManyRequests, Msg: "no"} })
		s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"* * * * *"`)
		s.trigger("u")
		s.mustCall("alarms/once", "CREATE", "/_/u", `,"date":"2000-01-01T00:00:10Z"`)
		time.Sleep(time.Hour + time.Second)
		s.firer.setRefuse(nil)
		time.Sleep(time.Minute - 2*time.Second)
		synctest.Wait()
		if fired := s.firer.take(); len(fired) != 1 {
			t.Errorf("fired %+v", fired)
		}
		if got := s.call("alarms/once", "READ", "/_/u", ""); !strings.Contains(got, `"reason":"Automatically disabled because the trigger could not be fired"`) {
			t.Errorf("READ of a date that could not be fired: %s", got)
		}
	})
}

// Subscriptions hold no key: another one of the namespace takes over.
func TestKeyRotation(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"* * * * *"`)
		rotated := "43bc46b1-71f6-4ed5-8c54-816aa4f8c502:" + strings.Repeat("r", 64)
		s.setKeys(rotated)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if fired := s.firer.take(); len(fired) != 1 || fired[0].caller.UUID+":"+fired[0].caller.Secret != rotated {
			t.Errorf("fired %+v", fired)
		}
		entries, _, err := s.store.List(context.Background(), "/whisk/feeds/")
		if err != nil || len(entries) != 1 || strings.Contains(string(entries[0].Value), strings.Repeat("g", 64)) {
			t.Errorf("the store holds %s, %v", entries[0].Value, err)
		}
	})
}

func TestDeletedTrigger(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.mustCall("alarms/alarm", "CREATE", "/_/t", `,"cron":"0 */2 * * *"`)
		trig, _ := s.triggers.Trigger("guest", "t")
		if err := s.triggers.DeleteTrigger(context.Background(), trig); err != nil {
			t.Fatal(err)
		}
		s.trigger("t") // another one
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if fired := s.firer.take(); len(fired) > 0 {
			t.Errorf("fired %+v", fired)
		}
		if entries, _, err := s.store.List(context.Background(), "/whisk/feeds/"); err != nil || len(entries) > 0 {
			t.Errorf("the store holds %+v, %v", entries, err)
		}
	})
}

// Many alarms at the same moment all fire, each once.
func TestManyAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		const n = 1000
		for i := range n {
			name := fmt.Sprintf("t%d", i)
			s.trigger(name)
			s.mustCall("alarms/alarm", "CREATE", "/_/"+name, `,"cron":"* * * * *"`)
		}
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		count := map[string]int{}
		for _, f := range s.firer.take() {
			count[f.trigger]++
		}
		for name, k := range count {
			if k != 2 {
				t.Errorf("%s fired %d times", name, k)
			}
		}
		if len(count) != n {
			t.Errorf("%d of %d alarms fired", len(count), n)
		}
		s.close()
	})
}
