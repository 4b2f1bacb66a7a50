package wsk

import (
	"context"
	"errors"
	"net/http"

	"github.com/spf13/cobra"
)

// trigger is a trigger as it travels and as `trigger get` shows it.
type trigger struct {
	Namespace   string    `json:"namespace,omitempty"`
	Name        string    `json:"name,omitempty"`
	Version     string    `json:"version,omitempty"`
	Annotations keyValues `json:"annotations,omitempty"`
	Parameters  keyValues `json:"parameters,omitempty"`
	Limits      document  `json:"limits,omitempty"`
	Publish     *bool     `json:"publish,omitempty"`
	Rules       document  `json:"rules,omitempty"`
	Updated     int64     `json:"updated,omitempty"`
}

const triggerNameRequired = "A trigger name is required."

func (a *app) triggerCommand() *cobra.Command {
	return group("trigger", "work with triggers",
		a.triggerFireCommand(), a.triggerCreateCommand(), a.triggerUpdateCommand(), a.triggerGetCommand(),
		a.triggerDeleteCommand(), a.listCommandFor("triggers"))
}

func (a *app) triggerFireCommand() *cobra.Command {
	var parameters given
	cmd := &cobra.Command{
		Use:   "fire TRIGGER_NAME [PAYLOAD]",
		Short: "fire trigger event",
		Args:  between(1, 2, "A trigger name is required. A payload is optional."),
		RunE: a.named(func(ctx context.Context, c *client, n name, payload []string) error {
			values, err := parameters.keyValues()
			if err != nil {
				return err
			}
			// A payload that is no JSON object is a text of that name.
			if len(payload) > 0 && values.addObject([]byte(payload[0])) != nil {
				values.set("payload", encode(payload[0]))
			}
			got, err := c.do(ctx, http.MethodPost, c.entity("triggers", n), nil, values.object())
			if err == nil && (got.status < 200 || got.status > 299) {
				err = statusError(got.status, got.body)
			}
			if err != nil {
				return because(err, "Unable to fire trigger '%s'", n.short())
			}
			a.ok("triggered %s with id %s", n.full(), activationID(got)) // none where no rule is active
			return nil
		}),
	}
	parameters.addParameters(cmd)
	return cmd
}

// triggerFlags are those of create and update. Parameters that name neither
// the feed nor the trigger are for the feed if there is one.
type triggerFlags struct {
	parameters, annotations, forFeed, forTrigger given
}

func (f *triggerFlags) add(cmd *cobra.Command) {
	f.parameters.addParameters(cmd)
	f.annotations.addAnnotations(cmd)
	f.forFeed.noun, f.forTrigger.noun = "parameter", "parameter"
	cmd.Flags().VarP(pairFlag{&f.forFeed}, "feed-param", "F", "feed parameter values in KEY VALUE format")
	cmd.Flags().VarP(pairFlag{&f.forTrigger}, "trigger-param", "T", "trigger parameter values in KEY VALUE format")
}

// triggerValues are the values that triggerFlags gave.
type triggerValues struct {
	annotations, forFeed, forTrigger keyValues
}

// values tells which parameters are for the feed and which for the trigger.
func (f *triggerFlags) values(hasFeed bool) (v triggerValues, err error) {
	general, err := f.parameters.keyValues()
	if err != nil {
		return v, err
	}
	if v.annotations, err = f.annotations.keyValues(); err != nil {
		return v, err
	}
	if v.forFeed, err = f.forFeed.keyValues(); err != nil {
		return v, err
	}
	if v.forTrigger, err = f.forTrigger.keyValues(); err != nil {
		return v, err
	}
	switch {
	case hasFeed:
		v.forFeed = general.with(v.forFeed)
	case len(v.forFeed) > 0:
		return v, usageError("The trigger has no feed that --feed-param could be for.")
	default:
		v.forTrigger = general.with(v.forTrigger)
	}
	return v, nil
}

func (a *app) triggerCreateCommand() *cobra.Command {
	var f triggerFlags
	var feed string
	cmd := &cobra.Command{
		Use:   "create TRIGGER_NAME",
		Short: "create new trigger",
		Args:  between(1, 1, triggerNameRequired),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			v, err := f.values(feed != "")
			if err != nil {
				return err
			}
			if err := a.createTrigger(ctx, c, n, feed, v); err != nil {
				return err
			}
			a.ok("created trigger %s", n.short())
			return nil
		}),
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&feed, "feed", "f", "", "trigger feed `ACTION_NAME`")
	return cmd
}

// createTrigger puts a trigger and tells its feed. A trigger whose feed refuses
// is deleted again.
func (a *app) createTrigger(ctx context.Context, c *client, n name, feed string, v triggerValues) error {
	body := trigger{Name: n.short(), Annotations: v.annotations, Parameters: v.forTrigger}
	var feedName name
	if feed != "" {
		var err error
		if feedName, err = c.parseName(feed); err != nil {
			return err
		}
		body.Annotations.set("feed", encode(feedName.full()))
	}
	fail := func(err error) error { return because(err, "Unable to create trigger '%s'", n.short()) }
	if err := c.put(ctx, c.entity("triggers", n), false, &body, nil); err != nil {
		return fail(err)
	}
	if feed == "" {
		return nil
	}
	if err := a.tellFeed(ctx, c, feedName, n, "CREATE", v.forFeed); err != nil {
		return errors.Join(fail(err), c.remove(ctx, c.entity("triggers", n), nil))
	}
	return nil
}

func (a *app) triggerUpdateCommand() *cobra.Command {
	var f triggerFlags
	cmd := &cobra.Command{
		Use:   "update TRIGGER_NAME",
		Short: "update an existing trigger, or create a trigger if it does not exist",
		Args:  between(1, 1, triggerNameRequired),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			if err := a.updateTrigger(ctx, c, n, &f); err != nil {
				return because(err, "Unable to update trigger '%s'", n.short())
			}
			a.ok("updated trigger %s", n.short())
			return nil
		}),
	}
	f.add(cmd)
	return cmd
}

func (a *app) updateTrigger(ctx context.Context, c *client, n name, f *triggerFlags) error {
	var old trigger
	if err := c.get(ctx, c.entity("triggers", n), nil, &old); err != nil && !isNotFound(err) {
		return err
	}
	feed := old.Annotations.value("feed")
	v, err := f.values(feed != nil)
	if err != nil {
		return err
	}
	// The API replaces annotations; without this one the trigger would lose its feed.
	if len(v.annotations) > 0 && feed != nil && v.annotations.value("feed") == nil {
		v.annotations.set("feed", feed)
	}
	body := trigger{Name: n.short(), Annotations: v.annotations, Parameters: v.forTrigger}
	if err := c.put(ctx, c.entity("triggers", n), true, &body, nil); err != nil {
		return err
	}
	if len(v.forFeed) == 0 {
		return nil
	}
	feedName, err := c.parseName(plain(feed))
	if err != nil {
		return err
	}
	return a.tellFeed(ctx, c, feedName, n, "UPDATE", v.forFeed)
}

func (a *app) triggerGetCommand() *cobra.Command {
	return getCommand(a, getting[trigger]{
		noun: "trigger", summary: "summarize trigger details; parameters with prefix \"*\" are bound",
		summarize: func(got *trigger) {
			a.summary("trigger", "/"+got.Namespace+"/"+got.Name, got.Annotations, got.Parameters)
		},
		instead: a.askFeed,
	})
}

// askFeed shows what the feed of a trigger says of it, if there is a feed.
func (a *app) askFeed(ctx context.Context, c *client, n name, got *trigger) (shown bool, err error) {
	feed := got.Annotations.value("feed")
	if feed == nil {
		return false, nil
	}
	feedName, err := c.parseName(plain(feed))
	if err != nil {
		return false, err
	}
	return true, a.tellFeed(ctx, c, feedName, n, "READ", nil)
}

func (a *app) triggerDeleteCommand() *cobra.Command {
	var parameters given
	cmd := &cobra.Command{
		Use:   "delete TRIGGER_NAME",
		Short: "delete trigger",
		Args:  between(1, 1, triggerNameRequired),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			values, err := parameters.keyValues()
			if err != nil {
				return err
			}
			var got trigger
			if err := c.get(ctx, c.entity("triggers", n), nil, &got); err != nil {
				return because(err, "Unable to get trigger '%s'", n.short())
			}
			if err := a.deleteTrigger(ctx, c, n, got.Annotations.value("feed"), values); err != nil {
				return because(err, "Unable to delete trigger '%s'", n.short())
			}
			a.ok("deleted trigger %s", n.short())
			return nil
		}),
	}
	parameters.addParameters(cmd)
	return cmd
}
