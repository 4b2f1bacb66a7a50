package wsk

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/spf13/cobra"
)

// actionFlags are those of create and update.
type actionFlags struct {
	code                               codeFlags
	parameters, annotations            given
	delAnnotations                     []string
	timeout, memory, logs, concurrency int
	web, webSecure                     string
}

func (a *app) actionWriteCommand(update bool) *cobra.Command {
	verb, done, short := "create", "created", "create a new action"
	required := "An action name and code artifact are required."
	if update {
		verb, done, short = "update", "updated", "update an existing action, or create an action if it does not exist"
		required = "An action name is required. A code artifact is optional."
	}
	var f actionFlags
	cmd := &cobra.Command{
		Use:   verb + " ACTION_NAME ACTION",
		Short: short,
		Args:  between(1, 2, required),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			n, body, err := f.parse(cmd, c, args, update)
			if err != nil {
				return because(err, "Unable to parse action command arguments")
			}
			if err := c.put(cmd.Context(), c.entity("actions", n), update, body, nil); err != nil {
				return because(err, "Unable to %s action '%s'", verb, n.short())
			}
			a.ok("%s action %s", done, n.short())
			return nil
		},
	}
	f.add(cmd, update)
	return cmd
}

func (f *actionFlags) add(cmd *cobra.Command, update bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.code.kind, "kind", "", "the `KIND` of the action runtime (example: swift:default, nodejs:default)")
	flags.StringVar(&f.code.main, "main", "", "the name of the action entry point (function or fully-qualified method name when applicable)")
	flags.StringVar(&f.code.docker, "docker", "", "use provided docker image (a path on DockerHub) to run the action")
	flags.BoolVar(&f.code.native, "native", false, "treat ACTION as native action (zip file provided as code artifact)")
	flags.BoolVar(&f.code.sequence, "sequence", false, "treat ACTION as comma separated sequence of actions to invoke")
	flags.BoolVar(&f.code.copy, "copy", false, "treat ACTION as the name of an existing action")
	f.parameters.addParameters(cmd)
	f.annotations.addAnnotations(cmd)
	flags.IntVarP(&f.timeout, "timeout", "t", 60000, "the timeout `LIMIT` in milliseconds after which the action is terminated")
	flags.IntVarP(&f.memory, "memory", "m", 256, "the maximum memory `LIMIT` in MB for the action")
	flags.IntVarP(&f.logs, "logsize", "l", 10, "the maximum log size `LIMIT` in MB for the action")
	flags.IntVarP(&f.concurrency, "concurrency", "c", 1, "the maximum intra-container concurrent activation `LIMIT` for the action")
	flags.StringVar(&f.web, "web", "", "treat ACTION as a web action, a raw HTTP web action, or as a standard action; yes | true = web action, raw = raw HTTP web action, no | false = standard action")
	flags.StringVar(&f.webSecure, "web-secure", "", "secure the web action. where `SECRET` is true, false, or any string")
	if update {
		flags.StringArrayVar(&f.delAnnotations, "del-annotation", nil, "the `KEY` of an annotation to remove")
	}
}

// parse makes the action that the arguments describe.
func (f *actionFlags) parse(cmd *cobra.Command, c *client, args []string, update bool) (name, *action, error) {
	ctx := cmd.Context()
	n, err := c.parseName(args[0])
	if err != nil {
		return n, nil, err
	}
	var artifact *string
	if len(args) > 1 {
		artifact = &args[1]
	}
	body, err := f.body(ctx, c, artifact)
	if err != nil {
		return n, nil, err
	}
	if body.Exec == nil && !update {
		return n, nil, usageError("An action name and code artifact are required.")
	}
	body.Namespace, body.Name = n.namespace, n.short()
	body.Limits = f.limits(cmd, body.Limits)
	body.DelAnnotations = f.delAnnotations
	return n, body, f.applyWeb(ctx, c, n, body, update)
}

// body is what the artifact gives, or with --copy the existing action, with the
// parameters and annotations given.
func (f *actionFlags) body(ctx context.Context, c *client, artifact *string) (*action, error) {
	body := new(action)
	var err error
	if body.Parameters, err = f.parameters.keyValues(); err != nil {
		return nil, err
	}
	if body.Annotations, err = f.annotations.keyValues(); err != nil {
		return nil, err
	}
	if f.code.copy {
		return body, f.copyInto(ctx, c, artifact, body)
	}
	body.Exec, err = f.code.exec(c, artifact)
	return body, err
}

// copyInto adds to what was given what the existing action has besides.
func (f *actionFlags) copyInto(ctx context.Context, c *client, source *string, body *action) error {
	if source == nil {
		return usageError("An action name and the name of an existing action are required.")
	}
	n, err := c.parseName(*source)
	if err != nil {
		return err
	}
	old, err := c.fetchAction(ctx, n, true)
	if err != nil {
		return because(err, "Unable to get action '%s'", n.short())
	}
	body.Exec, body.Limits = old.Exec, old.Limits
	body.Parameters = old.Parameters.with(body.Parameters)
	body.Annotations = old.Annotations.with(body.Annotations)
	return nil
}

// limits are those given as flags, over those of the copied action.
func (f *actionFlags) limits(cmd *cobra.Command, l *limits) *limits {
	if l == nil {
		l = new(limits)
	}
	for flag, to := range map[string]struct {
		from *int
		to   **int
	}{
		"timeout": {&f.timeout, &l.Timeout}, "memory": {&f.memory, &l.Memory},
		"logsize": {&f.logs, &l.Logs}, "concurrency": {&f.concurrency, &l.Concurrency},
	} {
		if cmd.Flags().Changed(flag) {
			*to.to = to.from
		}
	}
	if *l == (limits{}) {
		return nil
	}
	return l
}

// applyWeb adds the annotations that --web and --web-secure stand for. The API
// keeps the annotations of an action that is updated, but the original sends
// them all, so the ones there are fetched first.
func (f *actionFlags) applyWeb(ctx context.Context, c *client, n name, body *action, update bool) error {
	if f.web == "" && f.webSecure == "" {
		return nil
	}
	if update {
		old, err := c.fetchAction(ctx, n, false)
		if err != nil && !isNotFound(err) {
			return err
		}
		body.Annotations = old.Annotations.with(body.Annotations)
	}
	if f.web != "" {
		export, raw, err := webMode(f.web)
		if err != nil {
			return err
		}
		body.Annotations.set("web-export", encode(export))
		body.Annotations.set("raw-http", encode(raw))
		body.Annotations.set("final", encode(export))
	}
	return f.applySecret(body, update)
}

const annotationWebSecret = "require-whisk-auth"

// applySecret sets what callers of a web action have to say, or with false
// takes it away.
func (f *actionFlags) applySecret(body *action, update bool) error {
	if f.webSecure == "" {
		return nil
	}
	if !body.Annotations.truthy("web-export") {
		return usageError("The --web-secure option is only valid when the --web option is enabled.")
	}
	if f.webSecure == "false" {
		body.Annotations = slices.DeleteFunc(body.Annotations, func(kv keyValue) bool { return kv.Key == annotationWebSecret })
		if update {
			body.DelAnnotations = append(body.DelAnnotations, annotationWebSecret)
		}
		return nil
	}
	secret, err := webSecret(f.webSecure)
	body.Annotations.set(annotationWebSecret, secret)
	return err
}

func webMode(text string) (export, raw bool, err error) {
	switch text {
	case "yes", "true":
		return true, false, nil
	case "raw":
		return true, true, nil
	case "no", "false":
		return false, false, nil
	}
	return false, false, usageError("Invalid argument '%s' for --web flag. Valid input consist of 'yes', 'true', 'raw', 'false', or 'no'.", text)
}

// webSecret is the text given, or for "true" a random number.
func webSecret(text string) (json.RawMessage, error) {
	if text != "true" {
		return encode(text), nil
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1<<53))
	return json.RawMessage(fmt.Sprint(n)), err
}
