package invoke

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/whisk"
	"millrace/whisk/runtime"
)

const (
	tooLong = "The action produced a response that exceeded the allowed length: "
	invalid = "The action did not produce a valid JSON or JSON Array response"
)

func ok(body string) *runtime.Reply {
	return &runtime.Reply{OK: true, Body: []byte(body), Size: len(body)}
}

func notOK(body string) *runtime.Reply {
	return &runtime.Reply{Body: []byte(body), Size: len(body)}
}

func errorText(s string) string { return string(errorResult(whisk.AppendString(nil, s))) }

func TestRunOutcome(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reply  *runtime.Reply
		err    error
		status whisk.Status
		result string
		size   int
	}{
		{"object", ok(` {"a": 1} ` + "\n"), nil, whisk.Success, `{"a": 1}`, 11},
		{"empty object", ok(`{}`), nil, whisk.Success, `{}`, 2},
		{"array", ok(`[1,{"error":2}]`), nil, whisk.Success, `[1,{"error":2}]`, 15},
		{"error", ok(`{"error":"x"}`), nil, whisk.ApplicationError, `{"error":"x"}`, 13},
		{"null error", ok(`{"error":null}`), nil, whisk.ApplicationError, `{"error":null}`, 14},
		{"error among others", ok(`{"a":{"error":1},"error":{"b":[2]},"c":3}`), nil, whisk.ApplicationError, `{"error":{"b":[2]}}`, 41},
		{"spaced error", ok(`{ "error" : 1 }`), nil, whisk.ApplicationError, `{"error":1}`, 15},
		{"escaped error", ok(`{"\u0065rror":1}`), nil, whisk.ApplicationError, `{"error":1}`, 16},
		{"two errors", ok(`{"error":1,"error":2}`), nil, whisk.ApplicationError, `{"error":2}`, 21},
		{"nested error", ok(`{"a":{"error":1},"b":"\"error\":"}`), nil, whisk.Success, `{"a":{"error":1},"b":"\"error\":"}`, 34},
		{"similar keys", ok(`{"errors":1,"erro":2,"Error":3}`), nil, whisk.Success, `{"errors":1,"erro":2,"Error":3}`, 31},
		{"number", ok(`42`), nil, whisk.DeveloperError, errorText(invalid + `: 42`), 2},
		{"null", ok(`null`), nil, whisk.DeveloperError, errorText(invalid + `: null`), 4},
		{"string", ok(`"<s>"`), nil, whisk.DeveloperError, errorText(invalid + `: "<s>"`), 5},
		{"not JSON", ok(`{"a":`), nil, whisk.DeveloperError, errorText(invalid + `: {"a":`), 5},
		{"two documents", ok(`{} {}`), nil, whisk.DeveloperError, errorText(invalid + `: {} {}`), 5},
		{"empty", ok(``), nil, whisk.DeveloperError, errorText(invalid + `.`), 0},
		{"failed with error", notOK(`{"error":"An error has occurred: Error: boom"}`), nil, whisk.DeveloperError, errorText("An error has occurred: Error: boom"), 46},
		{"failed with more", notOK(`{"code":1,"error":{"a":1}}`), nil, whisk.DeveloperError, `{"error":{"a":1}}`, 26},
		{"failed without error", notOK(`{"a":1}`), nil, whisk.DeveloperError, errorText(invalid + `: {"a":1}`), 7},
		{"failed with text", notOK(`boom`), nil, whisk.DeveloperError, errorText(invalid + `: boom`), 4},
		{"failed with nothing", notOK(``), nil, whisk.DeveloperError, errorText(invalid + `.`), 0},
		{"exit", nil, runtime.ErrExited, whisk.DeveloperError, errorText("The action did not produce a valid response and exited unexpectedly."), -1},
		{"out of memory", nil, fmt.Errorf("x: %w", runtime.ErrOutOfMemory), whisk.DeveloperError, errorText("The action exhausted its memory and was aborted."), -1},
		{"late", nil, runtime.ErrTimeout, whisk.DeveloperError, errorText("The action exceeded its time limits of 700 milliseconds."), -1},
		{"our fault", nil, errors.New("wire broken"), whisk.WhiskError, errorText(msgRunFailed), -1},
		{"as large as allowed", ok(`{"a":"` + strings.Repeat("x", 92) + `"}`), nil, whisk.Success, `{"a":"` + strings.Repeat("x", 92) + `"}`, 100},
		{"too large", ok(`{"a":"` + strings.Repeat("x", 93) + `"}`), nil, whisk.ApplicationError,
			errorText(tooLong + `101 > 100 bytes. The truncated response was: {"a":"` + strings.Repeat("x", 93) + `"`), 101},
		{"too large, cut in a character", ok(`{"a":"` + strings.Repeat("x", 93) + `é"}`), nil, whisk.ApplicationError,
			errorText(tooLong + `103 > 100 bytes. The truncated response was: {"a":"` + strings.Repeat("x", 93)), 103},
		{"truncated by the runtime", &runtime.Reply{OK: true, Body: []byte(`{"a`), Size: 5000, Truncated: true}, nil, whisk.ApplicationError,
			errorText(tooLong + `5000 > 100 bytes. The truncated response was: {"a`), 5000},
	} {
		o := runOutcome(tc.reply, tc.err, 700, 100)
		if o.status != tc.status || string(o.result) != tc.result || o.size != tc.size {
			t.Errorf("%s:\ngot  %v %s (size %d)\nwant %v %s (size %d)", tc.name, o.status, o.result, o.size, tc.status, tc.result, tc.size)
		}
		if want := tc.err == runtime.ErrTimeout; o.timedOut != want {
			t.Errorf("%s: timed out %v", tc.name, o.timedOut)
		}
		if want := tc.status < whisk.DeveloperError; o.keepsInstance() != want {
			t.Errorf("%s: keeps its instance: %v", tc.name, !want)
		}
	}
}

func TestInitOutcome(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reply  *runtime.Reply
		err    error
		status whisk.Status
		result string
	}{
		{"ok", ok(`{"OK":true}`), nil, whisk.Success, ``},
		{"ok, not JSON", ok(`OK`), nil, whisk.Success, ``},
		{"error", notOK(`{"error":"Initialization has failed due to: x"}`), nil, whisk.DeveloperError, errorText("Initialization has failed due to: x")},
		{"text", notOK("syntax"), nil, whisk.DeveloperError, errorText("The action failed during initialization: syntax")},
		{"nothing", notOK(""), nil, whisk.DeveloperError, errorText("The action failed during initialization.")},
		{"exit", nil, runtime.ErrExited, whisk.DeveloperError, errorText("The action did not initialize and exited unexpectedly.")},
		{"late", nil, runtime.ErrTimeout, whisk.DeveloperError, errorText("The action exceeded its time limits of 700 milliseconds during initialization.")},
		{"out of memory", nil, runtime.ErrOutOfMemory, whisk.DeveloperError, errorText("The action exhausted its memory and was aborted.")},
		{"our fault", nil, errors.New("x"), whisk.WhiskError, errorText(msgRunFailed)},
		{"too large", &runtime.Reply{Body: []byte("abc"), Size: 500, Truncated: true}, nil, whisk.DeveloperError,
			errorText(tooLong + `500 > 100 bytes. The truncated response was: abc`)},
	} {
		o, goesOn := initOutcome(tc.reply, tc.err, 700, 100)
		if o.status != tc.status || string(o.result) != tc.result || goesOn != (tc.status == whisk.Success) {
			t.Errorf("%s: got %v %s %v, want %v %s", tc.name, o.status, o.result, goesOn, tc.status, tc.result)
		}
	}
}

func TestLogsOf(t *testing.T) {
	a := action("x")
	lines := []string{"one"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	if got := logsOf(lines, a, whisk.ApplicationError, at); len(got) != 1 {
		t.Errorf("application error: %q", got)
	}
	got := logsOf(lines, a, whisk.DeveloperError, at)
	if len(got) != 2 || got[1] != "2026-01-02T03:04:05.123456789Z stderr: The action did not initialize or run as expected. Log data might be missing." {
		t.Errorf("developer error: %q", got)
	}
	a.Limits.LogsMB = 0
	if got := logsOf(lines, a, whisk.DeveloperError, at); len(got) != 0 {
		t.Errorf("no logs wanted: %q", got)
	}
}

// Whatever a runtime answers, a result is valid JSON of the documented shape.
func FuzzRunOutcome(f *testing.F) {
	for _, s := range []string{`{"error":1}`, `{"a":{"error":1}}`, `[`, "{\"a\":\"\xff\"}", `{"\u0065rror" : {} , "x":""}`, "nope\x00", `{"a" 1}`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, good bool) {
		o := runOutcome(&runtime.Reply{OK: good, Body: body, Size: len(body)}, nil, 1, 1<<20)
		if !json.Valid(o.result) {
			t.Fatalf("result %q of %q", o.result, body)
		}
		var object map[string]json.RawMessage
		isObject := json.Unmarshal(body, &object) == nil && object != nil
		want := whisk.DeveloperError
		if _, failed := object["error"]; good && isObject && failed {
			want = whisk.ApplicationError
		} else if good && json.Valid(body) && (isObject || o.result[0] == '[') {
			want = whisk.Success
		}
		if o.status != want {
			t.Fatalf("status %v of %q (good %v), want %v", o.status, body, good, want)
		}
		if o.status != whisk.Success {
			var only map[string]json.RawMessage
			if err := json.Unmarshal(o.result, &only); err != nil || len(only) != 1 || only["error"] == nil {
				t.Fatalf("error result %q of %q", o.result, body)
			}
		}
	})
}
