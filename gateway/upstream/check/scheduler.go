package check

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"
)

// startDelay is the time from the first use of an upstream to its first probes,
// so that an upstream that is changed many times in a row is not probed as often.
const startDelay = time.Second

// Scheduler starts the probes of all checkers in their time.
type Scheduler struct {
	log     *slog.Logger
	resolve Resolve
	delay   time.Duration

	mu       sync.Mutex
	checkers map[*Checker]struct{}
	due      dueHeap
	wake     chan struct{} // has room for one
}

// NewScheduler makes a scheduler, which probes nothing before Run.
func NewScheduler(log *slog.Logger, resolve Resolve) *Scheduler {
	return &Scheduler{
		log: log, resolve: resolve, delay: startDelay,
		checkers: map[*Checker]struct{}{}, wake: make(chan struct{}, 1),
	}
}

// duty is a target and when it is to be probed.
type duty struct {
	target *Target
	at     time.Time
}

type dueHeap []duty

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(duty)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = duty{}
	*h = (*h)[:last]
	return d
}

// add enters new targets.
func (s *Scheduler) add(targets []*Target) {
	at := time.Now().Add(s.delay)
	s.mu.Lock()
	for _, t := range targets {
		heap.Push(&s.due, duty{t, at})
	}
	s.mu.Unlock()
	s.wakeUp()
}

func (s *Scheduler) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run probes until ctx ends, and returns when the last probe has.
func (s *Scheduler) Run(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		wait := s.start(ctx, &probes)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// start begins the probes whose time has come and answers the time to the next.
func (s *Scheduler) start(ctx context.Context, probes *sync.WaitGroup) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.due) > 0 {
		next := s.due[0]
		if wait := time.Until(next.at); wait > 0 {
			return wait
		}
		heap.Pop(&s.due)
		if next.target.gone.Load() {
			continue
		}
		if t := next.target; t.checker.admit(t) {
			probes.Go(func() { s.work(ctx, t) })
		}
	}
	return longest
}

// admit says whether a target may be probed now; if not, it is kept until a probe
// of the same checker has ended.
func (c *Checker) admit(t *Target) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running >= c.conf.concurrency {
		c.waiting = append(c.waiting, t)
		return false
	}
	c.running++
	return true
}

// next answers a waiting target in the place of one that has been probed.
func (c *Checker) next() *Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 {
		t := c.waiting[0]
		c.waiting = c.waiting[1:]
		if !t.gone.Load() {
			return t
		}
	}
	c.running--
	return nil
}

// work probes a target and then those that had to wait for it.
func (s *Scheduler) work(ctx context.Context, t *Target) {
	for t != nil {
		conf := t.conf.Load()
		r, ip := conf.probe.run(ctx, s.resolve, &t.Node)
		if ctx.Err() == nil && !t.gone.Load() {
			t.mu.Lock()
			t.ip = ip
			t.mu.Unlock()
			t.count(&conf.active, r)
			s.mu.Lock()
			heap.Push(&s.due, duty{t, time.Now().Add(t.interval(conf))})
			s.mu.Unlock()
			s.wakeUp()
		}
		t = t.checker.next()
	}
}
