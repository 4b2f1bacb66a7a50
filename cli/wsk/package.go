package wsk

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"
)

// pkg is a package as it travels and as `package get` shows it.
type pkg struct {
	Namespace   string          `json:"namespace,omitempty"`
	Name        string          `json:"name,omitempty"`
	Version     string          `json:"version,omitempty"`
	Publish     *bool           `json:"publish,omitempty"`
	Annotations keyValues       `json:"annotations,omitempty"`
	Parameters  keyValues       `json:"parameters,omitempty"`
	Binding     json.RawMessage `json:"binding,omitempty"`
	Actions     []contained     `json:"actions,omitempty"`
	Feeds       []contained     `json:"feeds,omitempty"`
}

// contained is an action inside a package.
type contained struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Annotations keyValues `json:"annotations"`
	Parameters  keyValues `json:"parameters,omitempty"`
}

func (a *app) packageCommand() *cobra.Command {
	return group("package", "work with packages",
		a.packageWriteCommand(false), a.packageWriteCommand(true), a.packageGetCommand(),
		a.deleteCommand("package", "packages", "A package name is required."), a.packageListCommand())
}

func (a *app) packageWriteCommand(update bool) *cobra.Command {
	verb, done, short := "create", "created", "create a new package"
	if update {
		verb, done, short = "update", "updated", "update an existing package, or create a package if it does not exist"
	}
	var body pkg
	var shared string
	cmd := &cobra.Command{
		Use:   verb + " PACKAGE_NAME",
		Short: short,
		Args:  between(1, 1, "A package name is required."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			n, err := c.parseName(args[0])
			if err != nil {
				return err
			}
			if body.Publish, err = sharedFlag(shared); err != nil {
				return err
			}
			body.Namespace, body.Name = n.namespace, n.short()
			if err := c.put(cmd.Context(), c.path(n.namespace, append([]string{"packages"}, n.parts()...)...), update, &body, nil); err != nil {
				return because(err, "Unable to %s package '%s'", verb, args[0])
			}
			a.ok("%s package %s", done, n.short())
			return nil
		},
	}
	flags := cmd.Flags()
	flags.VarP(pairFlag{&body.Parameters}, "param", "p", "parameter values in KEY VALUE format")
	flags.VarP(fileFlag{&body.Parameters}, "param-file", "P", "FILE containing parameter values in JSON format")
	flags.VarP(pairFlag{&body.Annotations}, "annotation", "a", "annotation values in KEY VALUE format")
	flags.VarP(fileFlag{&body.Annotations}, "annotation-file", "A", "FILE containing annotation values in JSON format")
	flags.StringVar(&shared, "shared", "", "package visibility `SCOPE`; yes = shared, no = private")
	return cmd
}

func sharedFlag(text string) (*bool, error) {
	yes, no := true, false
	switch text {
	case "":
		return nil, nil
	case "yes", "true":
		return &yes, nil
	case "no", "false":
		return &no, nil
	}
	return nil, usageError("Cannot use value '%s' for shared.", text)
}

func (a *app) packageGetCommand() *cobra.Command {
	var summary bool
	cmd := &cobra.Command{
		Use:   "get PACKAGE_NAME [FIELD_FILTER]",
		Short: "get package",
		Args:  between(1, 2, "A package name is required."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err == nil {
				err = a.getPackage(cmd.Context(), c, args, summary)
			}
			if err != nil {
				return because(err, "Unable to get package '%s'", args[0])
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&summary, "summary", "s", false, "summarize package details; parameters with prefix \"*\" are bound, \"**\" are bound and finalized")
	return cmd
}

func (a *app) getPackage(ctx context.Context, c *client, args []string, summary bool) error {
	n, err := c.parseName(args[0])
	if err != nil {
		return err
	}
	var got pkg
	if err := c.get(ctx, c.path(n.namespace, append([]string{"packages"}, n.parts()...)...), nil, &got); err != nil {
		return err
	}
	switch {
	case summary:
		full := "/" + got.Namespace + "/" + got.Name
		a.summary("package", full, got.Annotations, got.Parameters)
		for _, act := range got.Actions {
			a.summary(" action", full+"/"+act.Name, act.Annotations, got.Parameters)
		}
		for _, feed := range got.Feeds {
			a.summary(" feed  ", full+"/"+feed.Name, feed.Annotations, got.Parameters)
		}
		return nil
	case len(args) > 1:
		return a.field("package "+n.entity, got, args[1])
	}
	a.ok("got package %s", n.entity)
	a.json(got)
	return nil
}

func (a *app) packageListCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "list all packages",
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			namespace, pkg, err := c.collection(args)
			if err == nil && pkg != "" {
				err = usageError("'%s' is not a namespace; write it as /NAMESPACE", args[0])
			}
			if err != nil {
				return err
			}
			if err := a.listEntities(cmd.Context(), c, "packages", c.path(namespace, "packages"), f); err != nil {
				return because(err, "Unable to obtain the list of packages for namespace '%s'", namespace)
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
