package calmlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestFlood(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.New(slog.NewTextHandler(&out, nil)), "route").With("a", "b")
	now := time.Unix(100, 0)
	log.Handler().(*handler).seen.now = func() time.Time { return now }
	flood := func(n int, message, route string) (passed int) {
		out.Reset()
		for i := range n {
			log.Warn(message, "route", route, "i", i)
		}
		return strings.Count(out.String(), "\n")
	}
	for _, test := range [][2]string{{"failing", "1"}, {"failing", "2"}, {"other", "1"}} {
		if got := flood(1000, test[0], test[1]); got != PerSecond {
			t.Errorf("%q: %d records were passed on, want %d", test, got, PerSecond)
		}
	}
	now = now.Add(time.Second)
	if got := flood(1, "failing", "1"); got != 1 || !strings.Contains(out.String(), "a=b route=1 i=0 suppressed=995") {
		t.Errorf("in the next second: %s", out.String())
	}
	if flood(1, "failing", "1"); strings.Contains(out.String(), "suppressed") {
		t.Errorf("counted twice: %s", out.String())
	}
}

func TestKindsAreBounded(t *testing.T) {
	log := New(slog.New(slog.NewTextHandler(new(bytes.Buffer), nil)), "route")
	for i := range 3 * maxKinds {
		log.Warn("failing", "route", fmt.Sprint(i))
	}
	if n := len(log.Handler().(*handler).seen.kinds); n > maxKinds {
		t.Errorf("%d kinds are remembered", n)
	}
}
