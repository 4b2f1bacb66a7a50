package invoke

import (
	"context"
	"log/slog"
	"time"

	"millrace/whisk/runtime"
)

// shelf holds the stem cells of one kind. The pool's lock guards it, except for
// what is set when it is made.
type shelf struct {
	kind     string
	launcher runtime.Launcher
	want     int  // cells to keep while the kind is in use
	always   bool // in use from the start and for ever

	used    time.Time // newest start of an instance of this kind
	cells   []runtime.Instance
	failed  int // launches in a row
	retryAt time.Time
}

const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	// refillPause lets the call that took a cell have the core first: launching
	// the next one takes longer than the whole cold start.
	refillPause = 20 * time.Millisecond
)

// stem takes a stem cell of a kind, or answers nil, and notes that the kind is
// in use.
func (p *pool) stem(kind string, now time.Time) runtime.Instance {
	sh := p.shelves[kind]
	if sh == nil {
		return nil
	}
	sh.used = now
	p.wantRefill()
	for n := len(sh.cells); n > 0; n = len(sh.cells) {
		inst := sh.cells[n-1]
		sh.cells[n-1] = nil
		sh.cells = sh.cells[:n-1]
		if !gone(inst) {
			return inst
		}
		p.close(inst)
	}
	return nil
}

// shelve keeps a stem cell; nil is no cell.
func (p *pool) shelve(kind string, inst runtime.Instance) {
	if inst == nil {
		return
	}
	sh := p.shelves[kind]
	sh.cells = append(sh.cells, inst)
}

func (p *pool) wantRefill() {
	select {
	case p.refill <- struct{}{}:
	default:
	}
}

// lacking answers a shelf in use with too few cells, the one that lacks the
// most; if there is none, how long until a failed one may be tried again (0: no
// such one).
func (p *pool) lacking(now time.Time) (found *shelf, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sh := range p.shelves {
		lack := sh.want - len(sh.cells)
		if lack <= 0 || !sh.always && sh.used.IsZero() {
			continue
		}
		if left := sh.retryAt.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if found == nil || lack > found.want-len(found.cells) {
			found = sh
		}
	}
	return found, wait
}

// keepStems refills the shelves until ctx is done, one cell at a time. After
// each it rests as long as the launch took, so that refilling takes at most half
// of one core from the calls that run.
func (p *pool) keepStems(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		began := time.Now()
		sh, wait := p.lacking(began)
		if sh == nil {
			if !rest(ctx, wait, p.refill) || !rest(ctx, refillPause, nil) {
				return
			}
			continue
		}
		inst, err := sh.launcher.Launch(ctx, sh.kind)
		if err != nil && ctx.Err() == nil {
			log.Warn("starting a stem cell", "kind", sh.kind, "error", err)
		}
		p.stored(sh, inst, err, time.Now())
		if !rest(ctx, max(time.Since(began), time.Microsecond), nil) {
			return
		}
	}
}

// rest waits for d (0: for ever) or wake, and answers false when ctx is done.
func rest(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-over:
	case <-wake:
	}
	return true
}

// stored notes the outcome of a launch for a shelf.
func (p *pool) stored(sh *shelf, inst runtime.Instance, err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		sh.retryAt = now.Add(min(firstRetry<<min(sh.failed, 5), lastRetry))
		sh.failed++
	case p.closed:
		p.close(inst)
	default:
		sh.failed = 0
		p.shelve(sh.kind, inst)
		if p.waiting > 0 {
			p.dispatch(now)
		}
	}
}

// sweepStems drops the cells of kinds that have not been used for long, and
// dead cells.
func (p *pool) sweepStems(now time.Time, limit time.Duration) {
	for _, sh := range p.shelves {
		if !sh.always && now.Sub(sh.used) >= limit {
			sh.used = time.Time{}
			p.drop(sh)
			continue
		}
		kept := sh.cells[:0]
		for _, inst := range sh.cells {
			if gone(inst) {
				p.close(inst)
				p.wantRefill()
				continue
			}
			kept = append(kept, inst)
		}
		clear(sh.cells[len(kept):])
		sh.cells = kept
	}
}

func (p *pool) drop(sh *shelf) {
	for _, inst := range sh.cells {
		p.close(inst)
	}
	sh.cells = nil
}
