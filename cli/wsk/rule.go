package wsk

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// rule is a rule as it travels and as `rule get` shows it. Trigger and Action
// are full names when sent and objects when answered.
type rule struct {
	Namespace   string    `json:"namespace,omitempty"`
	Name        string    `json:"name,omitempty"`
	Version     string    `json:"version,omitempty"`
	Annotations keyValues `json:"annotations,omitempty"`
	Status      string    `json:"status"`
	Trigger     document  `json:"trigger"`
	Action      document  `json:"action"`
	Publish     *bool     `json:"publish,omitempty"`
	Updated     int64     `json:"updated,omitempty"`
}

func (a *app) ruleCommand() *cobra.Command {
	return group("rule", "work with rules",
		a.ruleStateCommand("enable", "enabled", "active"), a.ruleStateCommand("disable", "disabled", "inactive"), a.ruleStatusCommand(),
		a.ruleWriteCommand(false), a.ruleWriteCommand(true), a.ruleGetCommand(), a.ruleDeleteCommand(), a.listCommandFor("rules"))
}

const ruleNameRequired = "A rule name is required."

func (a *app) ruleStateCommand(verb, done, state string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " RULE_NAME",
		Short: verb + " rule",
		Args:  between(1, 1, ruleNameRequired),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			if err := c.setRuleState(ctx, n, state); err != nil {
				return because(err, "Unable to %s rule '%s'", verb, n.short())
			}
			a.ok("%s rule %s", done, n.short())
			return nil
		}),
	}
}

func (c *client) setRuleState(ctx context.Context, n name, state string) error {
	return c.call(ctx, http.MethodPost, c.entity("rules", n), nil, encode(rule{Status: state}), nil)
}

func (a *app) ruleStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status RULE_NAME",
		Short: "get rule status",
		Args:  between(1, 1, ruleNameRequired),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			var got rule
			if err := c.get(ctx, c.entity("rules", n), nil, &got); err != nil {
				return because(err, "Unable to get status of rule '%s'", n.short())
			}
			a.ok("rule %s is %s", n.short(), got.Status)
			return nil
		}),
	}
}

func (a *app) ruleWriteCommand(update bool) *cobra.Command {
	verb, done, short := "create", "created", "create new rule"
	if update {
		verb, done, short = "update", "updated", "update an existing rule, or create a rule if it does not exist"
	}
	var annotations given
	cmd := &cobra.Command{
		Use:   verb + " RULE_NAME TRIGGER_NAME ACTION_NAME",
		Short: short,
		Args:  between(3, 3, "A rule, trigger and action name are required."),
		RunE: a.named(func(ctx context.Context, c *client, n name, rest []string) error {
			trigger, err := c.parseName(rest[0])
			if err != nil {
				return err
			}
			action, err := c.parseName(rest[1])
			if err != nil {
				return err
			}
			body := rule{Name: n.short(), Trigger: document(encode(trigger.full())), Action: document(encode(action.full()))}
			if body.Annotations, err = annotations.keyValues(); err != nil {
				return err
			}
			if err := c.put(ctx, c.entity("rules", n), update, &body, nil); err != nil {
				return because(err, "Unable to %s rule '%s'", verb, n.short())
			}
			a.ok("%s rule %s", done, n.short())
			return nil
		}),
	}
	annotations.addAnnotations(cmd)
	return cmd
}

func (a *app) ruleGetCommand() *cobra.Command {
	return getCommand(a, getting[rule]{noun: "rule", summary: "summarize rule details", summarize: func(got *rule) {
		fmt.Fprintf(a.Out, "%s /%s/%s\n   (%s: %s)\n", a.paint("1", "rule"), got.Namespace, got.Name, a.paint("1", "status"), got.Status)
	}})
}

func (a *app) ruleDeleteCommand() *cobra.Command {
	var disable bool
	cmd := a.deleteCommand("rule", "rules", ruleNameRequired, nil)
	remove := cmd.RunE
	disabling := a.named(func(ctx context.Context, c *client, n name, _ []string) error {
		if err := c.setRuleState(ctx, n, "inactive"); err != nil {
			return because(err, "Unable to disable rule '%s'", n.short())
		}
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if disable {
			if err := disabling(cmd, args); err != nil {
				return err
			}
		}
		return remove(cmd, args)
	}
	cmd.Flags().BoolVar(&disable, "disable", false, "automatically disable rule before deleting it")
	return cmd
}
