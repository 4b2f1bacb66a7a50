package feed

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"sync"
	"time"
)

const (
	// firings is how many triggers are fired at once. Each waits for the disk,
	// and those that do so together share its syncs.
	firings = 64
	// lookAgain is how long the timetable sleeps at most: somebody may set the
	// machine's clock.
	lookAgain = 15 * time.Second
	// A trigger that cannot be fired for the moment is fired again, attempts times
	// in all, first after firstPause, then after twice the pause before.
	attempts   = 10
	firstPause = time.Second
	lastPause  = time.Minute
)

// timetable is the source of alarms. One goroutine waits for the next alarm of
// all; each occurrence is noted in the subscription before its trigger is fired, so
// that a crash between the two loses it, but nothing is fired twice.
type timetable struct {
	feeds *Feeds
	wake  chan struct{} // the next alarm may be another one now
	slots chan struct{}
	zones sync.Map // *time.Location by name: loading one takes time and memory

	mu      sync.Mutex
	entries map[ID]*entry
	queue   entryQueue
}

func newTimetable(f *Feeds) *timetable {
	return &timetable{
		feeds: f, wake: make(chan struct{}, 1), slots: make(chan struct{}, firings),
		entries: map[ID]*entry{},
	}
}

// zone answers a time zone by its name, empty for UTC. That of this machine is none,
// and a name has one spelling, so that there are not more than zones.
func (t *timetable) zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if z, ok := t.zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	if name == "Local" || path.Clean("/"+name) != "/"+name {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	z, err := time.LoadLocation(name)
	if err == nil {
		t.zones.Store(name, z)
	}
	return z, err
}

// entry is an alarm that is on. While its trigger is being fired it belongs to the
// goroutine that does so; else the timetable's lock guards it.
type entry struct {
	sub   *Subscription
	alarm alarm
	plan  *plan
	state alarmState

	occurrence time.Time // the next one; zero: there is none, the alarm is over
	at         time.Time // when to do something about it
	noted      bool      // the occurrence is noted: it may only be fired again
	failures   int       // of firing it
	lost       bool      // the occurrence before could not be fired
	index      int       // in the queue
}

// alarmState is what is noted in a subscription.
type alarmState struct {
	Last  int64 `json:"last"` // the newest occurrence, ms since 1970
	Fired int64 `json:"fired"`
}

// Apply puts an alarm into the timetable, or takes it out.
func (t *timetable) Apply(s *Subscription) error {
	if !s.Active {
		t.Forget(s.ID)
		return nil
	}
	e := &entry{sub: s}
	err := json.Unmarshal(s.Settings, &e.alarm)
	if err == nil && s.State != nil {
		err = json.Unmarshal(s.State, &e.state)
	}
	if err == nil {
		e.plan, err = e.alarm.plan(t.zone)
	}
	if err != nil {
		return fmt.Errorf("reading the settings of %s: %w", s.key(), err)
	}
	e.schedule(time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(s.ID)
	t.entries[s.ID] = e
	t.push(e)
	return nil
}

// Forget takes an alarm out of the timetable.
func (t *timetable) Forget(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(id)
}

func (t *timetable) drop(id ID) {
	if e := t.entries[id]; e != nil {
		delete(t.entries, id)
		if e.index >= 0 {
			heap.Remove(&t.queue, e.index)
		}
	}
}

func (t *timetable) push(e *entry) {
	heap.Push(&t.queue, e)
	if e.index == 0 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// schedule finds the next occurrence. What was due before the alarm was switched
// on does not count.
func (e *entry) schedule(now time.Time) {
	e.noted, e.failures = false, 0
	e.occurrence, e.at = time.Time{}, now.Round(0)
	if m := e.alarm.Maximum; m > 0 && e.state.Fired >= m {
		return
	}
	last := time.UnixMilli(max(e.state.Last, e.sub.Changed))
	if o := e.plan.due(last, now); !o.IsZero() {
		e.occurrence, e.at = o, o
	}
}

// Run fires triggers when it is time, until ctx is done.
func (t *timetable) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		e, wait := t.take(time.Now())
		if e != nil {
			running.Go(func() {
				defer func() { <-t.slots }()
				t.fire(context.WithoutCancel(ctx), e)
			})
			continue
		}
		<-t.slots
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-t.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// take answers an entry that is up, or how long to wait for one.
func (t *timetable) take(now time.Time) (*entry, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return nil, lookAgain
	}
	if wait := t.queue[0].at.Sub(now.Round(0)); wait > 0 { // by the clock on the wall
		return nil, min(wait, lookAgain)
	}
	return heap.Pop(&t.queue).(*entry), 0
}

// fire carries out what an entry is up for.
func (t *timetable) fire(ctx context.Context, e *entry) {
	if e.occurrence.IsZero() {
		t.finish(ctx, e)
		return
	}
	if !e.noted {
		if now := time.Now(); !e.plan.patient && now.Sub(e.occurrence) > lateness {
			e.schedule(now) // the machine slept
			t.putBack(e)
			return
		}
		if err := t.note(ctx, e); errors.Is(err, errStale) {
			return
		} else if err != nil {
			t.feeds.cfg.Log.Error("noting that an alarm fires", "key", e.sub.key(), "error", err)
			t.tryAgain(e)
			return
		}
	}
	switch _, retry, err := t.feeds.Fire(ctx, e.sub, e.alarm.Payload); {
	case retry:
		if statusOf(err) >= http.StatusInternalServerError { // else it is the namespace's own doing
			t.feeds.cfg.Log.Warn("firing the trigger of an alarm", "key", e.sub.key(), "error", err)
		}
		t.tryAgain(e)
	case err == nil && e.alarm.Date > 0:
		t.finish(ctx, e)
	case err == nil || errors.Is(err, errNoCaller):
		e.lost = err != nil
		e.schedule(time.Now())
		t.putBack(e)
	default: // if it is not off already
		t.feeds.SwitchOff(ctx, e.sub, msgFireRefused(statusOf(err)))
	}
}

// note notes that the occurrence is being fired.
func (t *timetable) note(ctx context.Context, e *entry) error {
	state := alarmState{Last: e.occurrence.UnixMilli(), Fired: e.state.Fired + 1}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	sub, err := t.feeds.Note(ctx, e.sub, text)
	if err != nil {
		return err
	}
	e.sub, e.state, e.noted, e.lost = sub, state, true, false
	return nil
}

// tryAgain puts an entry back for another attempt. It gives up an occurrence
// after enough of them, or when the next one comes first; but not one that could
// not be noted, as nobody knows of it yet.
func (t *timetable) tryAgain(e *entry) {
	now := time.Now()
	pause := now.Add(min(firstPause<<min(e.failures, 10), lastPause)).Round(0)
	e.failures++
	next := e.plan.next(e.occurrence)
	if e.noted && (e.failures >= attempts || !next.IsZero() && !next.After(pause)) {
		e.lost = true
		e.schedule(now)
	} else {
		e.at = pause
	}
	t.putBack(e)
}

// putBack puts an entry back into the queue, unless another one has replaced it.
func (t *timetable) putBack(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[e.sub.ID] == e {
		t.push(e)
	}
}

// finish ends an alarm that has no further occurrence.
func (t *timetable) finish(ctx context.Context, e *entry) {
	fired := e.alarm.Date > 0 && e.state.Fired > 0 && !e.lost
	if fired && e.alarm.DeleteAfterFire != "false" {
		err := t.feeds.deleteTrigger(ctx, e.sub, e.alarm.DeleteAfterFire == "rules")
		if err == nil {
			return
		}
		t.feeds.cfg.Log.Error("deleting the trigger of an alarm after it fired", "key", e.sub.key(), "error", err)
	}
	reason := msgNoMore
	switch a := &e.alarm; {
	case fired:
		reason = msgFiredOnce
	case a.Maximum > 0 && e.state.Fired >= a.Maximum:
		reason = msgReachedMaximum
	case a.Stop > 0:
		reason = msgReachedStop
	case e.lost:
		reason = msgNotFired
	}
	t.feeds.SwitchOff(ctx, e.sub, reason)
}

// entryQueue is a heap by time.
type entryQueue []*entry

func (q entryQueue) Len() int           { return len(q) }
func (q entryQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q entryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *entryQueue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *entryQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = -1
	return e
}
