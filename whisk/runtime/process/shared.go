package process

import (
	"context"
	"sync"
	"time"

	"millrace/whisk/runtime"
)

// sharedWire carries several calls at once to one instance: one goroutine reads
// the answers and hands each to its call by the id.
type sharedWire struct {
	i     *instance
	ended chan struct{} // closed when the reading has ended

	writing sync.Mutex
	scratch []byte
	said    []byte

	mu      sync.Mutex
	waiting map[uint32]chan answer
	over    bool // no more answers come
}

func newSharedWire(i *instance) *sharedWire {
	s := &sharedWire{i: i, ended: make(chan struct{}), waiting: map[uint32]chan answer{}}
	go s.readAll()
	return s
}

// readAll ends when the instance does.
func (s *sharedWire) readAll() {
	defer close(s.ended)
	for {
		a, err := s.i.read.next()
		if err != nil || !s.deliver(a) {
			break
		}
	}
	s.i.kill(runtime.ErrExited)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, c := range s.waiting {
		close(c)
	}
}

// deliver hands over an answer, and tells whether somebody waits for it.
func (s *sharedWire) deliver(a answer) bool {
	if a.Type != frameOK && a.Type != frameFailed {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.waiting[a.ID]
	if ok {
		delete(s.waiting, a.ID)
		c <- a
	}
	return ok
}

func (s *sharedWire) run(ctx context.Context, in *runtime.Run) (answer, error) {
	id := s.i.lastCall.Add(1)
	c := make(chan answer, 1)
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return answer{}, runtime.ErrExited
	}
	s.waiting[id] = c
	s.mu.Unlock()

	var timer *time.Timer
	g := s.i.watch(ctx, in.Deadline, &timer)
	if err := s.write(id, in); err != nil {
		s.i.kill(runtime.ErrExited)
	}
	a, ok := <-c
	if late := g.stop(); late != nil {
		s.i.kill(late)
		return answer{}, late
	}
	if !ok {
		return answer{}, runtime.ErrExited
	}
	return a, nil
}

func (s *sharedWire) write(id uint32, in *runtime.Run) (err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.said = appendRun(s.said[:0], in)
	s.scratch, err = writeRequest(s.i.req, s.scratch, frameRun, id, s.said, in.Args)
	return err
}
