package wsk

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// pollInterval is how often new activations are asked for.
const pollInterval = 2 * time.Second

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
			namespace, name, err := c.activationsOf(args)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if f.exit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(f.exit)*time.Second)
				defer cancel()
			}
			err = a.poll(ctx, c, namespace, name, f.since())
			if ctx.Err() != nil {
				return nil // the time is over, or the user has interrupted
			}
			return because(err, "Unable to obtain the list of activations for namespace '%s'", namespace)
		},
	}
	cmd.Flags().IntVarP(&f.exit, "exit", "e", 0, "stop polling after this many SECONDS")
	cmd.Flags().IntVar(&f.seconds, "since-seconds", 0, "start polling for activations SECONDS seconds ago")
	cmd.Flags().IntVar(&f.minutes, "since-minutes", 0, "start polling for activations MINUTES minutes ago")
	cmd.Flags().IntVar(&f.hours, "since-hours", 0, "start polling for activations HOURS hours ago")
	cmd.Flags().IntVar(&f.days, "since-days", 0, "start polling for activations DAYS days ago")
	return cmd
}

// poll prints the logs of new activations until ctx ends or a request fails.
func (a *app) poll(ctx context.Context, c *client, namespace, name string, back time.Duration) error {
	fmt.Fprintln(a.Out, "Enter Ctrl-c to exit.")
	since, err := c.pollStart(ctx, namespace, name, back)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out, "Polling for activation logs")
	printed := make(map[string]int64) // start by id, of those that the next request may answer again
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		query := url.Values{"docs": {"true"}, "limit": {"0"}, "since": {fmt.Sprint(since)}}
		all, err := c.activations(ctx, namespace, name, query)
		if err != nil {
			return err
		}
		for i := len(all) - 1; i >= 0; i-- { // newest first in the answer
			act := all[i]
			if _, seen := printed[act.ID]; seen || act.StatusCode < 0 {
				continue
			}
			printed[act.ID] = act.Start
			fmt.Fprintf(a.Out, "\nActivation: '%s' (%s)\n", act.Name, act.ID)
			a.json(act.Logs)
			since = max(since, act.Start)
		}
		for id, start := range printed {
			if start < since {
				delete(printed, id)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// pollStart is the time to start from: some time ago, or after the newest record.
func (c *client) pollStart(ctx context.Context, namespace, name string, back time.Duration) (int64, error) {
	if back > 0 {
		return time.Now().Add(-back).UnixMilli(), nil
	}
	newest, err := c.activations(ctx, namespace, name, url.Values{"docs": {"true"}, "limit": {"1"}})
	if err != nil || len(newest) == 0 {
		return 0, err
	}
	return newest[0].Start + 1, nil
}
