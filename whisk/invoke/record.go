package invoke

import (
	"encoding/json"
	"strconv"
	"time"

	"millrace/whisk"
)

// facts are the parts of a record that all calls of one action revision share.
type facts struct {
	path, kind, limits whisk.KeyValue
	// name is the provider's full path with a leading slash.
	name string
}

func factsOf(a *whisk.Action) facts {
	limits, _ := json.Marshal(a.Limits) // numbers only: cannot fail
	return facts{
		path:   whisk.KeyValue{Key: "path", Value: whisk.AppendString(nil, a.Path())},
		kind:   whisk.KeyValue{Key: "kind", Value: whisk.AppendString(nil, a.Exec.Kind)},
		limits: whisk.KeyValue{Key: "limits", Value: limits},
		name:   "/" + a.Path(),
	}
}

var (
	jsonTrue     = json.RawMessage("true")
	jsonFalse    = json.RawMessage("false")
	jsonZero     = json.RawMessage("0")
	jsonSequence = json.RawMessage(`"sequence"`)
)

func jsonBool(b bool) json.RawMessage {
	if b {
		return jsonTrue
	}
	return jsonFalse
}

// record is the two records of one call: the one that is visible while it runs,
// and the one that replaces it.
type record struct {
	running *whisk.Activation
	ended   *endedRecord
}

// endedRecord keeps a record and what it points to in one piece of memory.
type endedRecord struct {
	whisk.Activation
	annotations [6]whisk.KeyValue
	size        int
}

// openRecord makes the record of a call that starts now. The ended record
// shares its annotations and adds its own behind them.
func openRecord(f *facts, c *Call, start time.Time, waited time.Duration) record {
	rec := record{running: new(whisk.Activation), ended: new(endedRecord)}
	list := append(rec.ended.annotations[:0], f.path, f.kind, f.limits, whisk.KeyValue{Key: "waitTime", Value: milliseconds(waited)})
	rec.ended.Annotations = appendReach(list, c)
	*rec.running = runningRecord(c, start, rec.ended.Annotations)
	return rec
}

// appendReach appends how the call came to its action.
func appendReach(list whisk.KeyValues, c *Call) whisk.KeyValues {
	if c.Cause != "" {
		list = append(list, whisk.KeyValue{Key: "causedBy", Value: jsonSequence})
	}
	if c.Binding != "" {
		list = append(list, whisk.KeyValue{Key: "binding", Value: whisk.AppendString(nil, c.Binding)})
	}
	return list
}

func runningRecord(c *Call, start time.Time, list whisk.KeyValues) whisk.Activation {
	return whisk.Activation{
		Namespace:   c.Caller.Namespace,
		Name:        c.Action.Name,
		Version:     c.Action.Version,
		Subject:     c.Caller.Subject,
		ID:          c.ID,
		Cause:       c.Cause,
		Start:       start.UnixMilli(),
		Response:    whisk.Response{Status: whisk.Running},
		Annotations: list[:len(list):len(list)],
	}
}

// close makes the record of the ended call. initTime is negative if there was
// no init.
func (rec record) close(o *outcome, took, initTime time.Duration) *whisk.Activation {
	a := &rec.ended.Activation
	list := a.Annotations
	list = append(list, whisk.KeyValue{Key: "timeout", Value: jsonBool(o.timedOut)})
	if initTime >= 0 {
		list = append(list, whisk.KeyValue{Key: "initTime", Value: milliseconds(initTime)})
	}
	*a = *rec.running
	a.Tail = nil
	a.Duration = max(0, took.Milliseconds())
	a.End = a.Start + a.Duration
	a.Annotations = list
	a.Logs = o.logs
	a.Response = whisk.Response{Status: o.status, Result: o.result}
	if o.size >= 0 {
		rec.ended.size = o.size
		a.Response.Size = &rec.ended.size
	}
	return a
}

// waitingRecord is what is visible of a call that waits for its turn.
func waitingRecord(r *request) *whisk.Activation {
	now := time.Now()
	waited := now.Sub(r.received)
	if r.composite() {
		f := frame{call: &r.Call}
		f.open(now, waited)
		return f.running
	}
	f := factsOf(r.Action)
	return openRecord(&f, &r.Call, now, waited).running
}

// unrunRecord is the record of a call that does not run.
func unrunRecord(r *request, o *outcome) *whisk.Activation {
	now := time.Now()
	waited := now.Sub(r.received)
	if r.composite() {
		f := frame{call: &r.Call}
		f.open(now, waited)
		return f.close(o.response())
	}
	f := factsOf(r.Action)
	return openRecord(&f, &r.Call, now, waited).close(o, 0, -1)
}

func milliseconds(d time.Duration) json.RawMessage {
	if d < time.Millisecond {
		return jsonZero
	}
	return strconv.AppendInt(nil, d.Milliseconds(), 10)
}

// logsOf finishes the lines of a call: none if the action collects none, and a
// note after a developer error, whose last lines may have been lost.
func logsOf(lines []string, a *whisk.Action, status whisk.Status, now time.Time) []string {
	if a.Limits.LogsMB == 0 {
		return nil
	}
	if status != whisk.DeveloperError {
		return lines
	}
	stamp := now.UTC().Format("2006-01-02T15:04:05.000000000Z")
	return append(lines[:len(lines):len(lines)], stamp+" stderr: "+msgLogsMissing)
}

// queuedRecord is what is visible of a call that waits for its turn.
func queuedRecord(r *request) *whisk.Activation {
	rec := waitingRecord(r)
	rec.Queued = true
	return rec
}
