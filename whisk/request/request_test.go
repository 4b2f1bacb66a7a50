package request

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"millrace/whisk"
)

func TestTransactionID(t *testing.T) {
	made := regexp.MustCompile(`^[0-9A-Za-z]{32}$`)
	for given, kept := range map[string]bool{
		"": false, "mine": true, "sid_mine": false, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
	} {
		got := TransactionID(given)
		if kept && got != given || !kept && !made.MatchString(got) {
			t.Errorf("%q became %q", given, got)
		}
	}
	if first, second := TransactionID(""), TransactionID(""); first == second {
		t.Error("two requests have one id")
	}
}

func TestKey(t *testing.T) {
	for header, want := range map[string]struct {
		key   string
		given bool
	}{
		"":               {"", false},
		"Basic":          {"", true},
		"Basic YTpi":     {"a:b", true},
		"bAsIc  YTpi ":   {"a:b", true},
		"Basic !":        {"", true},
		"Bearer YTpi":    {"", false},
		"BasicYTpi":      {"", false},
		"Digest a=b,c=d": {"", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		if key, given := Key(r); key != want.key || given != want.given {
			t.Errorf("%q: got %q, %v", header, key, given)
		}
	}
}

// What is not meant for clients is in the log and nowhere else.
func TestFailure(t *testing.T) {
	var lines strings.Builder
	log := slog.New(slog.NewTextHandler(&lines, nil))
	if e := Failure(log, "t", errors.New("secret")); e.Status != 500 || e.Msg != whisk.MsgInternal || !strings.Contains(lines.String(), "secret") {
		t.Errorf("%v, %s", e, &lines)
	}
	lines.Reset()
	if e := Failure(log, "t", whisk.NotFound()); e.Status != 404 || lines.Len() > 0 {
		t.Errorf("%v, %s", e, &lines)
	}
	if e := Failure(log, "t", context.Canceled); e.Status != 500 || lines.Len() > 0 {
		t.Errorf("%v, %s", e, &lines)
	}
}
