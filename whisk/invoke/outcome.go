package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/runtime"
)

// outcome is how a call ended, as its record will say it.
type outcome struct {
	status   whisk.Status
	result   json.RawMessage
	size     int // of the runtime's answer; -1: there was none
	timedOut bool
	logs     []string
}

func failed(status whisk.Status, text string) outcome {
	return outcome{status: status, result: errorResult(whisk.AppendString(nil, text)), size: -1}
}

// errorResult is {"error":value}.
func errorResult(value []byte) json.RawMessage {
	out := make([]byte, 0, len(value)+10)
	out = append(out, `{"error":`...)
	out = append(out, value...)
	return append(out, '}')
}

// keepsInstance: after a success or an application error the instance is used
// again; what a developer or platform error leaves behind is not known.
func (o *outcome) keepsInstance() bool {
	return o.status == whisk.Success || o.status == whisk.ApplicationError
}

// initOutcome maps what Init answered. ok: the call goes on.
func initOutcome(reply *runtime.Reply, err error, timeoutMS, maxResult int) (o outcome, ok bool) {
	switch {
	case err == nil && reply.OK:
		return outcome{size: -1, logs: reply.Logs}, true
	case err == nil:
		o = failedReply(reply, maxResult, msgInitFailed)
		o.status = whisk.DeveloperError
	default:
		o = brokenOutcome(err, msgInitExited, msgInitTimeout(timeoutMS))
	}
	if reply != nil {
		o.logs = reply.Logs
	}
	return o, false
}

// runOutcome maps what Run answered.
func runOutcome(reply *runtime.Reply, err error, timeoutMS, maxResult int) (o outcome) {
	switch {
	case err == nil && reply.OK:
		o = returned(reply, maxResult)
	case err == nil:
		o = failedReply(reply, maxResult, msgInvalidResponse)
	default:
		o = brokenOutcome(err, msgRunExited, msgRunTimeout(timeoutMS))
	}
	if reply != nil {
		o.logs = reply.Logs
	}
	return o
}

// brokenOutcome maps an instance that gave no answer.
func brokenOutcome(err error, exited, late string) outcome {
	switch {
	case errors.Is(err, runtime.ErrTimeout):
		o := failed(whisk.DeveloperError, late)
		o.timedOut = true
		return o
	case errors.Is(err, runtime.ErrOutOfMemory):
		return failed(whisk.DeveloperError, msgOutOfMemory)
	case errors.Is(err, runtime.ErrExited):
		return failed(whisk.DeveloperError, exited)
	case errors.Is(err, context.Canceled):
		return failed(whisk.WhiskError, msgStopped)
	}
	return failed(whisk.WhiskError, msgRunFailed)
}

// returned maps the answer of a call that returned.
func returned(reply *runtime.Reply, maxResult int) outcome {
	if o, large := tooLarge(reply, maxResult); large {
		return o
	}
	body := bytes.TrimSpace(reply.Body)
	if len(body) == 0 || body[0] != '{' && body[0] != '[' || !gjson.ValidBytes(body) {
		o := failed(whisk.DeveloperError, msgInvalidResponse(body))
		o.size = reply.Size
		return o
	}
	o := outcome{status: whisk.Success, result: body, size: reply.Size}
	if value, alone := errorMember(body); value != nil {
		o.status = whisk.ApplicationError
		if !alone {
			o.result = errorResult(value)
		}
	}
	return o
}

// failedReply maps an answer with OK false: the value of its error member, or
// what text makes of it. The status is a developer error, or an application
// error if the answer is too large (only of Run).
func failedReply(reply *runtime.Reply, maxResult int, text func([]byte) string) outcome {
	if o, large := tooLarge(reply, maxResult); large {
		return o
	}
	o := outcome{status: whisk.DeveloperError, size: reply.Size}
	body := bytes.TrimSpace(reply.Body)
	if len(body) > 0 && body[0] == '{' && gjson.ValidBytes(body) {
		if value, _ := errorMember(body); value != nil {
			o.result = errorResult(value)
			return o
		}
	}
	o.result = errorResult(whisk.AppendString(nil, text(body)))
	return o
}

func tooLarge(reply *runtime.Reply, maxResult int) (outcome, bool) {
	if !reply.Truncated && len(reply.Body) <= maxResult {
		return outcome{}, false
	}
	prefix := reply.Body[:min(len(reply.Body), maxResult)]
	for n := 0; n < utf8.UTFMax && len(prefix) > 0; n++ { // no half character at the cut
		if r, size := utf8.DecodeLastRune(prefix); r != utf8.RuneError || size > 1 {
			break
		}
		prefix = prefix[:len(prefix)-1]
	}
	size := max(reply.Size, len(reply.Body))
	o := failed(whisk.ApplicationError, msgTooLarge(size, maxResult, prefix))
	o.size = size
	return o, true
}

// errorMember answers the value of the top-level member "error" of a valid
// object, the last one if there are several, or nil; alone: there is no other
// member. Arrays have none.
func errorMember(body []byte) (value []byte, alone bool) {
	if body[0] != '{' {
		return nil, false
	}
	n := 0
	for m := (members{rest: body}); m.next(); n++ {
		if m.is("error") {
			value = m.value
		}
	}
	return value, n == 1 && bytes.HasPrefix(body, []byte(`{"error":`))
}
