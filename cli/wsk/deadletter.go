package wsk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// deadLetter is an accepted call that was given up, as a list shows it.
type deadLetter struct {
	ID       string `json:"activationId"`
	Action   string `json:"action"`
	Attempts int    `json:"attempts"`
	Failed   int64  `json:"failed"`
	Status   string `json:"status"`
}

func (a *app) deadLetterCommand() *cobra.Command {
	return group("deadletter", "work with accepted calls that were given up",
		a.deadLetterListCommand(), a.deadLetterGetCommand(), a.deadLetterRedriveCommand(), a.deadLetterDeleteCommand())
}

const deadLetterRow = "%-19s %-32s %-8s %-23s %s\n"

func (a *app) deadLetterListCommand() *cobra.Command {
	var skip, limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the calls that were given up, newest first",
		Args:  between(0, 0, "No arguments are required."),
		RunE: a.asking(func(ctx context.Context, c *client, _ []string) error {
			var all []deadLetter
			query := url.Values{"limit": {fmt.Sprint(limit)}, "skip": {fmt.Sprint(skip)}}
			if err := c.get(ctx, c.path(c.namespace, "deadletters"), query, &all); err != nil {
				return because(err, "Unable to obtain the list of dead letters for namespace '%s'", c.namespace)
			}
			fmt.Fprintf(a.Out, deadLetterRow, "Given up", "Activation ID", "Attempts", "Status", "Action")
			for _, l := range all {
				fmt.Fprintf(a.Out, deadLetterRow, time.UnixMilli(l.Failed).Format(time.DateTime), l.ID, fmt.Sprint(l.Attempts), l.Status, l.Action)
			}
			return nil
		}),
	}
	cmd.Flags().IntVarP(&skip, "skip", "s", 0, "exclude the first SKIP number of dead letters from the result")
	cmd.Flags().IntVarP(&limit, "limit", "l", 30, "only return LIMIT number of dead letters, 200 at most")
	return cmd
}

// deadLetterCommandFor makes a command for one dead letter.
func (a *app) deadLetterCommandFor(verb, short string, run func(ctx context.Context, c *client, path, id string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " ACTIVATION_ID",
		Short: short,
		Args:  between(1, 1, "An activation ID is required."),
		RunE: a.asking(func(ctx context.Context, c *client, args []string) error {
			if err := run(ctx, c, c.path(c.namespace, "deadletters", args[0]), args[0]); err != nil {
				return because(err, "Unable to %s dead letter '%s'", verb, args[0])
			}
			return nil
		}),
	}
}

func (a *app) deadLetterGetCommand() *cobra.Command {
	return a.deadLetterCommandFor("get", "get a dead letter with its payload", func(ctx context.Context, c *client, path, id string) error {
		var letter json.RawMessage
		if err := c.get(ctx, path, nil, &letter); err != nil {
			return err
		}
		a.ok("got dead letter %s", id)
		a.json(sorted(letter))
		return nil
	})
}

func (a *app) deadLetterRedriveCommand() *cobra.Command {
	return a.deadLetterCommandFor("redrive", "call the action again as it is now", func(ctx context.Context, c *client, path, id string) error {
		var accepted struct {
			ID string `json:"activationId"`
		}
		if err := c.call(ctx, http.MethodPost, path, nil, nil, &accepted); err != nil {
			return err
		}
		a.ok("redriven dead letter %s with id %s", id, accepted.ID)
		return nil
	})
}

func (a *app) deadLetterDeleteCommand() *cobra.Command {
	return a.deadLetterCommandFor("delete", "forget a dead letter", func(ctx context.Context, c *client, path, id string) error {
		if err := c.remove(ctx, path, nil); err != nil {
			return err
		}
		a.ok("deleted dead letter %s", id)
		return nil
	})
}
