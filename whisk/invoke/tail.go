package invoke

import (
	"sync"

	"millrace/whisk"
	"millrace/whisk/runtime"
)

// tail keeps the lines that a call has logged while it runs, for whoever wants
// to see them before its record does. The action's log limit bounds them.
type tail struct {
	mu    sync.Mutex
	lines []string
	over  bool
	more  chan struct{} // made by who waits, closed and forgotten at the next line
}

var (
	_ whisk.Tail    = (*tail)(nil)
	_ runtime.Lines = (*tail)(nil)
)

// Line adds a line.
func (t *tail) Line(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	t.wake()
}

// end says that the call has ended and its record is there.
func (t *tail) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.wake()
}

func (t *tail) wake() {
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
}

// Lines implements whisk.Tail.
func (t *tail) Lines(from int) (lines []string, more <-chan struct{}, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more == nil {
		t.more = make(chan struct{})
		if t.over {
			close(t.more)
		}
	}
	from = min(from, len(t.lines))
	return t.lines[from:len(t.lines):len(t.lines)], t.more, t.over
}
