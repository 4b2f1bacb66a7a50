package wsk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Exit codes that are not made from an HTTP status.
const (
	exitGeneral  = 1
	exitUsage    = 2
	exitNetwork  = 3
	exitTimedOut = 202
)

// Error is a failure of a wsk command. Code is the exit code; with Shown the
// user has been told already; with Usage a hint at --help follows.
type Error struct {
	Msg          string
	Code         int
	Shown, Usage bool
}

func (e *Error) Error() string { return e.Msg }

// ExitCode is what the process ends with.
func (e *Error) ExitCode() int { return e.Code }

// Silent tells that nothing is left to be said.
func (e *Error) Silent() bool { return e.Shown }

// Report tells the user what went wrong, unless that has been done, and answers
// the exit code. program is what --help is an option of.
func Report(w io.Writer, program string, err error) int {
	var failed interface {
		ExitCode() int
		Silent() bool
	}
	if !errors.As(err, &failed) {
		fmt.Fprintf(w, "error: %s\n", err)
		return exitGeneral
	}
	if !failed.Silent() {
		fmt.Fprintf(w, "error: %s\n", err)
	}
	var ours *Error
	if errors.As(err, &ours) && ours.Usage {
		fmt.Fprintf(w, "Run '%s --help' for usage.\n", program)
	}
	return failed.ExitCode()
}

func usageError(format string, args ...any) error {
	return &Error{Msg: fmt.Sprintf(format, args...), Code: exitUsage, Usage: true}
}

// because puts what was being done before a failure and keeps the rest.
func because(err error, format string, args ...any) error {
	out := Error{Code: exitGeneral}
	var known *Error
	if errors.As(err, &known) {
		out = *known
	}
	out.Msg = fmt.Sprintf(format, args...) + ": " + err.Error()
	return &out
}

// statusError is the failure that an answer of the API tells: its exit code is
// the status less 256, as a byte.
func statusError(status int, body []byte) error {
	var text struct {
		Error *json.RawMessage `json:"error"`
		Code  *json.RawMessage `json:"code"`
	}
	e := &Error{Code: (status - 256) & 0xff}
	known := json.Unmarshal(body, &text) == nil && text.Error != nil
	switch {
	case known && text.Code != nil:
		e.Msg = fmt.Sprintf("%s (code %s)", plain(*text.Error), plain(*text.Code))
	case known: // a web action's own error
		e.Msg = plain(*text.Error)
	default:
		e.Msg = fmt.Sprintf("The connection failed, or timed out. (HTTP status code %d)", status)
	}
	return e
}

// isNotFound tells whether the API has answered that there is no such thing.
func isNotFound(err error) bool {
	var answered *Error
	return errors.As(err, &answered) && answered.Code == (http.StatusNotFound-256)&0xff
}

// plain shows a JSON string without its quotes and anything else as it is.
func plain(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(value))
}
