package wsk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	// pollInterval is how often new activations are asked for.
	pollInterval = 2 * time.Second
	// sweepEvery is after how many rounds every page is read again.
	sweepEvery = 10
	// pageSize is how many records an answer has at most.
	pageSize = 200
	// longestCall is how long calls may take where the platform does not tell.
	longestCall = 5 * time.Minute
)

type pollFlags struct {
	exit, seconds, minutes, hours, days int
}

func (f *pollFlags) since() time.Duration {
	return time.Duration(f.seconds)*time.Second + time.Duration(f.minutes)*time.Minute +
		time.Duration(f.hours)*time.Hour + time.Duration(f.days)*24*time.Hour
}

func (a *app) activationPollCommand() *cobra.Command {
	var f pollFlags
	cmd := &cobra.Command{
		Use:   "poll [NAMESPACE | ACTION_NAME]",
		Short: "poll continuously for log messages from currently running actions",
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			p := &poller{app: a, c: c, interval: pollInterval, seen: make(map[string]int64)}
			if p.namespace, p.name, err = c.activationsOf(args); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			err = p.run(ctx, f.since(), time.Duration(f.exit)*time.Second)
			switch {
			case ctx.Err() != nil:
				fmt.Fprintln(a.Out, "Poll terminated")
				return &Error{Msg: "interrupted", Code: exitGeneral, Shown: true}
			case err != nil:
				return because(err, "Unable to obtain the list of activations for namespace '%s'", p.namespace)
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&f.exit, "exit", "e", 0, "stop polling after this many SECONDS")
	cmd.Flags().IntVar(&f.seconds, "since-seconds", 0, "start polling for activations SECONDS seconds ago")
	cmd.Flags().IntVar(&f.minutes, "since-minutes", 0, "start polling for activations MINUTES minutes ago")
	cmd.Flags().IntVar(&f.hours, "since-hours", 0, "start polling for activations HOURS hours ago")
	cmd.Flags().IntVar(&f.days, "since-days", 0, "start polling for activations DAYS days ago")
	return cmd
}

// poller prints the logs of each activation once. Lists are in the order in
// which calls started, and some platforms show a record at the end of its call
// only, so a record can come to stand behind others that have been printed: at
// the same millisecond, or up to the longest time that a call may take before.
// The poller therefore asks again for that time and knows what it has printed.
type poller struct {
	app             *app
	c               *client
	namespace, name string
	interval        time.Duration

	window time.Duration    // how far back a record may appear
	since  int64            // ms since 1970: what started earlier is not asked for
	from   int64            // ms since 1970: what ended earlier is no news
	newest int64            // the latest start of all records
	seen   map[string]int64 // start by id, of those that need not be printed (again)
}

// run prints until ctx ends, a request is refused, or the time is over; no time
// stands for ever. With back it begins with what started so long ago.
func (p *poller) run(ctx context.Context, back, exit time.Duration) error {
	fmt.Fprintln(p.app.Out, "Enter Ctrl-c to exit.")
	if err := p.start(ctx, back); err != nil {
		return err
	}
	fmt.Fprintln(p.app.Out, "Polling for activation logs")
	var over <-chan time.Time
	if exit > 0 {
		timer := time.NewTimer(exit)
		defer timer.Stop()
		over = timer.C
	}
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := p.round(ctx, n%sweepEvery == 0); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return p.round(ctx, true)
		case <-ticker.C:
		}
	}
}

// start finds out what is there already.
func (p *poller) start(ctx context.Context, back time.Duration) error {
	var limits struct {
		MaxTimeoutMS int64 `json:"maxActionTimeout"`
	}
	p.window = longestCall
	if err := p.c.get(ctx, p.c.path(p.namespace, "limits"), nil, &limits); err == nil && limits.MaxTimeoutMS > 0 {
		p.window = time.Duration(limits.MaxTimeoutMS) * time.Millisecond
	}
	p.window += time.Minute // until a record of the past is seen
	if back > 0 {
		p.since = time.Now().Add(-back).UnixMilli()
		return nil
	}
	page, err := p.page(ctx, 0)
	if err != nil {
		return err
	}
	for _, act := range page {
		p.newest = max(p.newest, act.Start)
		if !act.running() {
			p.seen[act.ID] = act.Start
			p.from = max(p.from, act.ended())
		}
	}
	p.forget(math.MaxInt64)
	return nil
}

// round prints what is new. Unless it is a sweep it stops at a page without
// anything new. What fails for the moment is tried again in the next round.
func (p *poller) round(ctx context.Context, sweep bool) error {
	var news []activation
	running := int64(math.MaxInt64) // the earliest start of what still runs
	var failed error
	for skip, more := 0, true; more && failed == nil; skip += pageSize {
		var page []activation
		page, failed = p.page(ctx, skip)
		found := p.unprinted(page, &running)
		news = append(news, found...)
		more = len(page) == pageSize && (sweep || len(found) > 0)
	}
	for i := len(news) - 1; i >= 0; i-- { // the answer has the newest first
		fmt.Fprintf(p.app.Out, "\nActivation: '%s' (%s)\n", news[i].Name, news[i].ID)
		p.app.json(news[i].Logs)
	}
	switch {
	case failed == nil:
		p.forget(running)
	case !passing(failed):
		return failed
	}
	return ctx.Err()
}

// unprinted picks what has to be printed and notes that it is, and lowers
// running to the start of what has not ended.
func (p *poller) unprinted(page []activation, running *int64) []activation {
	var news []activation
	for _, act := range page {
		p.newest = max(p.newest, act.Start)
		_, known := p.seen[act.ID]
		switch {
		case known:
		case act.running():
			*running = min(*running, act.Start)
		default:
			p.seen[act.ID] = act.Start
			if act.ended() >= p.from {
				news = append(news, act)
			}
		}
	}
	return news
}

// page asks for the records after the newest skip.
func (p *poller) page(ctx context.Context, skip int) ([]activation, error) {
	query := url.Values{"docs": {"true"}, "running": {"true"}, "limit": {"0"}}
	if p.since > 0 {
		query.Set("since", fmt.Sprint(p.since))
	}
	if skip > 0 {
		query.Set("skip", fmt.Sprint(skip))
	}
	return p.c.activations(ctx, p.namespace, p.name, query)
}

// forget moves on to the time in which records can still appear, but not past
// running, the start of one that is known to run.
func (p *poller) forget(running int64) {
	p.since = max(p.since, min(running, p.newest-p.window.Milliseconds()))
	for id, start := range p.seen {
		if start < p.since {
			delete(p.seen, id)
		}
	}
}

// passing tells failures that may be gone at the next attempt.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	status := e.Code + 256
	return e.Code == exitNetwork || status == http.StatusTooManyRequests || status >= 500 && status < 512
}
