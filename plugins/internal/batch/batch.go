// Package batch collects log entries and sends them together, in the background:
// whoever logs never waits. What cannot be sent in time is dropped and counted.
package batch

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Schema are the members that the schema of every batching logger has.
const Schema = `"name":{"type":"string"},
		"max_retry_count":{"type":"integer","minimum":0,"default":0},
		"retry_delay":{"type":"integer","minimum":0,"default":1},
		"buffer_duration":{"type":"integer","minimum":1,"default":60},
		"inactive_timeout":{"type":"integer","minimum":1,"default":5},
		"batch_max_size":{"type":"integer","minimum":1,"default":1000}`

// MetadataSchema are those of its metadata.
const MetadataSchema = `"max_pending_entries":{"type":"integer","minimum":1,"default":8192}`

// Conf is what Schema describes.
type Conf struct {
	Name             string `json:"name"`
	MaxRetryCount    int    `json:"max_retry_count"`
	RetryDelayS      int    `json:"retry_delay"`
	BufferDurationS  int    `json:"buffer_duration"`
	InactiveTimeoutS int    `json:"inactive_timeout"`
	BatchMaxSize     int    `json:"batch_max_size"`
}

// maxBytes bounds the entries of one queue.
const maxBytes = 64 << 20

// Send delivers entries, each a JSON text. It returns when ctx ends.
type Send func(ctx context.Context, entries [][]byte) error

// Group is the queues of a process.
type Group struct {
	ctx  context.Context // ends when the time for the last entries is over
	stop context.CancelFunc

	mu     sync.Mutex
	queues map[*Queue]struct{}
	closed bool
	done   sync.WaitGroup
}

// NewGroup makes a group.
func NewGroup() *Group {
	g := &Group{queues: map[*Queue]struct{}{}}
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// Close makes all queues send what they hold and waits for that until ctx ends;
// then what is left is dropped and the result is ctx's error.
func (g *Group) Close(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	for _, q := range g.inUse() {
		q.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.done.Wait()
	}()
	defer g.stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		g.stop()
		<-done
		return ctx.Err()
	}
}

// Each calls fn for each queue that is in use.
func (g *Group) Each(fn func(name, route, server string, pending int)) {
	for _, q := range g.inUse() {
		q.mu.Lock()
		name, route, server, pending := q.name, q.route, q.server, len(q.entries)+q.sending
		q.mu.Unlock()
		fn(name, route, server, pending)
	}
}

// inUse answers the queues that work. Their locks are taken without that of the
// group, which a queue takes under its own.
func (g *Group) inUse() []*Queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.queues))
}

// Queue is where the entries of one logger wait.
type Queue struct {
	g    *Group
	conf Conf
	name string
	send Send
	log  *slog.Logger

	mu            sync.Mutex
	route, server string // of the first entry
	entries       [][]byte
	bytes         int
	sending       int // entries on their way
	first, last   time.Time
	started, over bool
	dropped       int64
	wake          chan struct{} // the queue has become full, not empty, or over
}

// New makes a queue; title is its name unless conf has one.
func (g *Group) New(conf Conf, title string, log *slog.Logger, send Send) *Queue {
	q := &Queue{g: g, conf: conf, name: conf.Name, send: send, log: log, wake: make(chan struct{}, 1)}
	if q.name == "" {
		q.name = title
	}
	return q
}

// Push enters an entry, which then belongs to the queue, and tells whether there
// was room: at most maxPending entries wait. route and server say where it is from.
func (q *Queue) Push(entry []byte, maxPending int, route, server string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.started && !q.start(route, server) || q.over ||
		len(q.entries)+q.sending >= maxPending || q.bytes+len(entry) > maxBytes {
		q.dropped++
		return false
	}
	q.entries = append(q.entries, entry)
	q.bytes += len(entry)
	q.last = time.Now()
	if len(q.entries) == 1 {
		q.first = q.last
	}
	if n := len(q.entries); n == 1 || n == q.conf.BatchMaxSize {
		q.poke()
	}
	return true
}

// start begins the work with the first entry; false if the process ends.
func (q *Queue) start(route, server string) bool {
	if q.over {
		return false
	}
	q.g.mu.Lock()
	defer q.g.mu.Unlock()
	if q.g.closed {
		return false
	}
	q.g.queues[q] = struct{}{}
	q.g.done.Add(1)
	q.started, q.route, q.server = true, route, server
	go q.run()
	return true
}

func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Dropped is how many entries there was no room for.
func (q *Queue) Dropped() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Close makes the queue send what it holds, in the background, and end.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.poke()
}

func (q *Queue) run() {
	defer q.g.done.Done()
	defer func() {
		q.g.mu.Lock()
		delete(q.g.queues, q)
		q.g.mu.Unlock()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		batch, wait, over := q.take(time.Now())
		switch {
		case len(batch) > 0:
			q.deliver(batch)
			continue
		case over:
			return
		}
		timer.Reset(wait)
		select {
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// take answers the entries whose time has come, or how long to wait.
func (q *Queue) take(now time.Time) (batch [][]byte, wait time.Duration, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.entries)
	if n == 0 {
		return nil, time.Hour, q.over
	}
	due := q.last.Add(seconds(q.conf.InactiveTimeoutS))
	if full := q.first.Add(seconds(q.conf.BufferDurationS)); full.Before(due) {
		due = full
	}
	if n < q.conf.BatchMaxSize && !q.over && now.Before(due) {
		return nil, due.Sub(now), false
	}
	n = min(n, q.conf.BatchMaxSize)
	batch = q.entries[:n:n]
	q.entries = q.entries[n:]
	if len(q.entries) == 0 {
		q.entries = nil
	}
	q.first, q.sending = now, n
	return batch, 0, false
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// deliver sends a batch, again if it fails, and gives up at last.
func (q *Queue) deliver(batch [][]byte) {
	err := q.send(q.g.ctx, batch)
	for try := 0; err != nil && try < q.conf.MaxRetryCount && q.g.ctx.Err() == nil; try++ {
		q.log.Warn("sending log entries; trying again", "queue", q.name, "entries", len(batch), "err", err)
		select {
		case <-time.After(seconds(q.conf.RetryDelayS)):
		case <-q.g.ctx.Done():
		}
		err = q.send(q.g.ctx, batch)
	}
	if err != nil {
		q.log.Error("sending log entries; they are lost", "queue", q.name, "entries", len(batch), "err", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending = 0
	for _, entry := range batch {
		q.bytes -= len(entry)
	}
}
