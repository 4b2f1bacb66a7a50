package invoke

import (
	"encoding/json"
	"strconv"
	"time"

	"millrace/whisk"
)

// frame is a composite of a walk: what it does and what its record will say.
type frame struct {
	call    *Call
	script  script
	running *whisk.Activation
	tail    tail // its logs: ids of what it called

	duration int64 // ms: of all of them
	end      int64 // of the last one, ms since 1970
	memoryMB int   // the largest of them
}

// open makes the record of a composite that begins now.
func (f *frame) open(now time.Time, waited time.Duration) {
	c := f.call
	list := make(whisk.KeyValues, 0, 8)
	list = append(list,
		whisk.KeyValue{Key: "limits", Value: compositeLimits(c.Action, c.Action.Limits.MemoryMB)},
		whisk.KeyValue{Key: "path", Value: whisk.AppendString(nil, c.Action.Path())},
		whisk.KeyValue{Key: "kind", Value: jsonSequence},
		whisk.KeyValue{Key: "waitTime", Value: milliseconds(waited)},
		whisk.KeyValue{Key: "topmost", Value: jsonBool(c.Cause == "")},
	)
	if isConductor(c.Action) {
		f.memoryMB = c.Action.Limits.MemoryMB
		list = append(list, whisk.KeyValue{Key: "conductor", Value: jsonTrue})
	}
	running := runningRecord(c, now, appendReach(list, c))
	f.running = &running
}

// tooLong is how a composite ends that makes, or is, one call too many.
func (f *frame) tooLong() whisk.Response {
	text := msgCompositionTooLong
	if isSequence(f.call.Action) {
		text = whisk.MsgSequenceTooLong
	}
	return failed(whisk.ApplicationError, text).response()
}

// note counts a call that has ended.
func (f *frame) note(r *report, memoryMB int) {
	f.tail.Line(r.id)
	if r.rec == nil {
		return
	}
	f.duration += r.rec.Duration
	f.end = r.rec.End
	f.memoryMB = max(f.memoryMB, memoryMB)
}

// close makes the record of the composite that has ended.
func (f *frame) close(response whisk.Response) *whisk.Activation {
	rec := new(whisk.Activation)
	*rec = *f.running
	rec.Tail = nil
	rec.Response = response
	rec.Logs = f.tail.lines // no one else adds to them
	rec.Duration = f.duration
	if rec.End = f.end; rec.End == 0 {
		rec.End = max(rec.Start, time.Now().UnixMilli())
	}
	if f.memoryMB != 0 && f.memoryMB != f.call.Action.Limits.MemoryMB {
		rec.Annotations = append(make(whisk.KeyValues, 0, len(rec.Annotations)), rec.Annotations...)
		rec.Annotations[0].Value = compositeLimits(f.call.Action, f.memoryMB)
	}
	return rec
}

// compositeLimits are an action's limits with another memory. How many calls its
// instances take says nothing about a composite, which has none.
func compositeLimits(a *whisk.Action, memoryMB int) json.RawMessage {
	b := append(make([]byte, 0, 64), `{"timeout":`...)
	b = strconv.AppendInt(b, int64(a.Limits.TimeoutMS), 10)
	b = strconv.AppendInt(append(b, `,"memory":`...), int64(memoryMB), 10)
	b = strconv.AppendInt(append(b, `,"logs":`...), int64(a.Limits.LogsMB), 10)
	return append(b, `,"concurrency":1}`...)
}
