package wsk

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// activation is a record as it travels and as `activation get` shows it.
type activation struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Subject     string    `json:"subject"`
	ID          string    `json:"activationId"`
	Cause       string    `json:"cause,omitempty"`
	Start       int64     `json:"start"`
	End         int64     `json:"end"`
	Duration    int64     `json:"duration"`
	StatusCode  int       `json:"statusCode"`
	Response    response  `json:"response"`
	Logs        []string  `json:"logs"`
	Annotations keyValues `json:"annotations"`
	Publish     *bool     `json:"publish,omitempty"`
	State       string    `json:"state,omitempty"` // queued or running; absent from what has ended
}

type response struct {
	Status     string   `json:"status"`
	StatusCode int      `json:"statusCode"`
	Success    bool     `json:"success"`
	Result     document `json:"result,omitempty"`
	Size       *int     `json:"size,omitempty"`
}

func (a *app) activationCommand() *cobra.Command {
	return group("activation", "work with activations",
		a.activationListCommand(), a.activationGetCommand(), a.activationLogsCommand(), a.activationResultCommand(), a.activationPollCommand())
}

type activationListFlags struct {
	skip, limit int
	full        bool
	since, upto int64
}

func (f *activationListFlags) query() url.Values {
	q := url.Values{"limit": {fmt.Sprint(f.limit)}, "skip": {fmt.Sprint(f.skip)}}
	if f.since > 0 {
		q.Set("since", fmt.Sprint(f.since))
	}
	if f.upto > 0 {
		q.Set("upto", fmt.Sprint(f.upto))
	}
	if f.full {
		q.Set("docs", "true")
	} else {
		q.Set("running", "true") // which the table can show
	}
	return q
}

func (a *app) activationListCommand() *cobra.Command {
	var f activationListFlags
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE or NAME]",
		Short: "list activations",
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: a.asking(func(ctx context.Context, c *client, args []string) error {
			namespace, name, err := c.activationsOf(args)
			if err != nil {
				return err
			}
			all, err := c.activations(ctx, namespace, name, f.query())
			if err != nil {
				return because(err, "Unable to obtain the list of activations for namespace '%s'", namespace)
			}
			a.printActivations(all, f.full)
			return nil
		}),
	}
	cmd.Flags().IntVarP(&f.skip, "skip", "s", 0, "exclude the first SKIP number of activations from the result")
	cmd.Flags().IntVarP(&f.limit, "limit", "l", 30, "only return LIMIT number of activations from the collection with a maximum LIMIT of 200 activations")
	cmd.Flags().BoolVarP(&f.full, "full", "f", false, "include full activation description")
	cmd.Flags().Int64Var(&f.since, "since", 0, "return activations with timestamps later than SINCE; measured in milliseconds since Th, 01, Jan 1970")
	cmd.Flags().Int64Var(&f.upto, "upto", 0, "return activations with timestamps earlier than UPTO; measured in milliseconds since Th, 01, Jan 1970")
	return cmd
}

// activationsOf reads what activation list takes: nothing, /ns, a name,
// pkg/name, or /ns/[pkg/]name.
func (c *client) activationsOf(args []string) (namespace, name string, err error) {
	if len(args) == 0 {
		return c.namespace, "", nil
	}
	if after, full := strings.CutPrefix(args[0], "/"); full && after != "" && !strings.Contains(strings.TrimSuffix(after, "/"), "/") {
		return strings.TrimSuffix(after, "/"), "", nil
	}
	n, err := c.parseName(args[0])
	return n.namespace, n.short(), err
}

func (c *client) activations(ctx context.Context, namespace, name string, query url.Values) ([]activation, error) {
	if name != "" {
		query.Set("name", name)
	}
	var all []activation
	err := c.get(ctx, c.path(namespace, "activations"), query, &all)
	return all, err
}

const activationRow = "%-19s %-32s %-9s %-5s %-10s %-15s %s\n"

func (a *app) printActivations(all []activation, full bool) {
	if full {
		a.heading("activations")
		for _, act := range all {
			act.fill()
			a.json(act)
		}
		return
	}
	header := fmt.Sprintf(activationRow, "Datetime", "Activation ID", "Kind", "Start", "Duration", "Status", "Entity")
	a.heading(strings.TrimSuffix(header, "\n"))
	for _, act := range all {
		fmt.Fprintf(a.Out, activationRow, time.UnixMilli(act.Start).Format(time.DateTime), act.ID,
			act.kind(), act.startType(), act.duration(), act.status(), act.entity())
	}
}

func (act *activation) kind() string {
	if kind := plain(act.Annotations.value("kind")); kind != "" {
		return kind
	}
	return "unknown"
}

func (act *activation) startType() string {
	if act.Annotations.value("initTime") != nil {
		return "cold"
	}
	return "warm"
}

func (act *activation) duration() string {
	switch {
	case act.running():
		return "--"
	case act.End == 0: // a trigger's
		return "0s"
	}
	return (time.Duration(act.End-act.Start) * time.Millisecond).String()
}

func (act *activation) status() string {
	texts := []string{"success", "application error", "developer error", "internal error"}
	if act.running() || act.StatusCode < 0 || act.StatusCode >= len(texts) {
		return "running"
	}
	return texts[act.StatusCode]
}

// running tells whether the call has not ended, as far as the platform says so:
// the original shows no such records.
func (act *activation) running() bool {
	unended := func(status string) bool { return status == "running" || status == "queued" }
	return unended(act.State) || unended(act.Response.Status)
}

// ended is when the activation ended, in ms since 1970; those of triggers have
// no end.
func (act *activation) ended() int64 {
	if act.End == 0 {
		return act.Start
	}
	return act.End
}

// entity is the path of what ran, with its version.
func (act *activation) entity() string {
	path := plain(act.Annotations.value("path"))
	if path == "" {
		path = act.Namespace + "/" + act.Name
	}
	return path + ":" + act.Version
}

// whichActivation is one activation of the caller, by its id or the last one.
type whichActivation struct{ last bool }

// check looks at the arguments: an id unless the last one is meant, and most
// others behind it.
func (w *whichActivation) check(args []string, most int) error {
	least := 1
	if w.last {
		least = 0
	}
	return between(least, least+most, "An activation ID is required.")(nil, args)
}

// id answers the activation id meant and the arguments after it. The last one may
// still run: its logs can be followed.
func (w *whichActivation) id(ctx context.Context, c *client, args []string) (id string, rest []string, err error) {
	if !w.last {
		return args[0], args[1:], nil
	}
	all, err := c.activations(ctx, c.namespace, "", url.Values{"limit": {"1"}, "skip": {"0"}, "running": {"true"}})
	if err != nil {
		return "", nil, err
	}
	if len(all) == 0 {
		return "", nil, &Error{Msg: "Activation list does not contain any activations.", Code: exitGeneral}
	}
	return all[0].ID, args, nil
}

// oneActivation makes a command that reads below one activation; most arguments
// may follow its id.
func (a *app) oneActivation(use, short, doing string, most int, run func(ctx context.Context, c *client, id string, rest []string) error) *cobra.Command {
	var which whichActivation
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  func(_ *cobra.Command, args []string) error { return which.check(args, most) },
		RunE: a.asking(func(ctx context.Context, c *client, args []string) error {
			id, rest, err := which.id(ctx, c, args)
			if err != nil {
				return because(err, "Unable to get %s", doing)
			}
			if err := knownField(activation{}, rest); err != nil {
				return err
			}
			if err := run(ctx, c, id, rest); err != nil {
				return because(err, "Unable to get %s '%s'", doing, id)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&which.last, "last", "l", false, "retrieves the most recent activation")
	return cmd
}

func (a *app) activationGetCommand() *cobra.Command {
	var summary, logs bool
	cmd := a.oneActivation("get (ACTIVATION_ID | --last) [FIELD_FILTER]", "get activation", "activation", 1,
		func(ctx context.Context, c *client, id string, field []string) error {
			if logs {
				return a.printLogs(ctx, c, id, true)
			}
			var act activation
			if err := c.get(ctx, c.path(c.namespace, "activations", id), nil, &act); err != nil {
				return err
			}
			act.fill()
			if summary {
				fmt.Fprintf(a.Out, "activation result for '/%s/%s' (%s at %s)\n", act.Namespace, act.Name, act.Response.Status, time.Unix(act.ended()/1000, 0))
				a.json(act.Response.Result)
				return nil
			}
			return a.show("activation", id, act, field)
		})
	cmd.Flags().BoolVarP(&summary, "summary", "s", false, "summarize activation details")
	cmd.Flags().BoolVarP(&logs, "logs", "g", false, "emit only the logs, stripped of time stamps and stream identifier")
	return cmd
}

// fill sets the numbers of the status, which full records have as a text only.
func (act *activation) fill() {
	code := slices.Index([]string{"success", "application error", "action developer error", "whisk internal error"}, act.Response.Status)
	act.StatusCode, act.Response.StatusCode = code, code
}

func (a *app) activationResultCommand() *cobra.Command {
	return a.oneActivation("result (ACTIVATION_ID | --last)", "get the result of an activation", "result for activation", 0,
		func(ctx context.Context, c *client, id string, _ []string) error {
			var body struct {
				Result document `json:"result"`
			}
			if err := c.get(ctx, c.path(c.namespace, "activations", id, "result"), nil, &body); err != nil {
				return err
			}
			a.json(body.Result)
			return nil
		})
}
