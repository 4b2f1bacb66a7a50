package wsk

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) namespaceCommand() *cobra.Command {
	return group("namespace", "work with namespaces", a.namespaceListCommand(), a.namespaceGetCommand())
}

func (a *app) namespaceListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list available namespaces",
		Args:  between(0, 0, "No arguments are required."),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			var names []string
			if err := c.get(cmd.Context(), "/namespaces", nil, &names); err != nil {
				return because(err, "Unable to obtain the list of available namespaces")
			}
			a.heading("namespaces")
			for _, name := range names {
				fmt.Fprintln(a.Out, name)
			}
			return nil
		},
	}
}

func (a *app) namespaceGetCommand() *cobra.Command {
	return a.entitiesCommand("get [NAMESPACE]", "get triggers, actions, and rules in the registry for a namespace", 0)
}

func (a *app) listCommand() *cobra.Command {
	return a.entitiesCommand("list [NAMESPACE]", "list entities in the current namespace", 30)
}

// entitiesCommand lists every collection of a namespace; limit is what a
// request asks for unless a flag says otherwise.
func (a *app) entitiesCommand(use, short string, limit int) *cobra.Command {
	f := listFlags{limit: limit}
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			namespace, pkg, err := c.collection(args)
			if err == nil && len(args) > 0 && (pkg != "" || !strings.HasPrefix(args[0], "/")) {
				err = usageError("'%s' is not a namespace; write it as /NAMESPACE", args[0])
			}
			if err != nil {
				return err
			}
			if err := a.listNamespace(cmd.Context(), c, namespace, f); err != nil {
				return because(err, "Unable to obtain the list of entities for namespace '%s'", namespace)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&f.byName, "name-sort", "n", false, "sorts the list alphabetically by name, without regard to case")
	return cmd
}

func (a *app) listNamespace(ctx context.Context, c *client, namespace string, f listFlags) error {
	shown := namespace
	if shown == "_" {
		shown = "default"
	}
	fmt.Fprintf(a.Out, "Entities in namespace: %s\n", a.paint("1", shown))
	for _, collection := range []string{"packages", "actions", "triggers"} {
		if err := a.listEntities(ctx, c, collection, c.path(namespace, collection), f); err != nil {
			return err
		}
	}
	return a.listRules(ctx, c, namespace, f)
}

// listRules asks for each rule of the list, since lists do not tell a rule's status.
func (a *app) listRules(ctx context.Context, c *client, namespace string, f listFlags) error {
	var rules []entity
	if err := c.get(ctx, c.path(namespace, "rules"), f.query(), &rules); err != nil {
		return err
	}
	a.heading("rules")
	for _, r := range rules {
		if err := c.get(ctx, c.path(namespace, "rules", r.Name), nil, &r); err != nil {
			return err
		}
		a.entityRow("rules", r)
	}
	return nil
}
