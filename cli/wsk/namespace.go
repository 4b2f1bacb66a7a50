package wsk

import (
	"context"
	"fmt"

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
		RunE: a.asking(func(ctx context.Context, c *client, _ []string) error {
			var names []string
			if err := c.get(ctx, "/namespaces", nil, &names); err != nil {
				return because(err, "Unable to obtain the list of available namespaces")
			}
			a.heading("namespaces")
			for _, name := range names {
				fmt.Fprintln(a.Out, name)
			}
			return nil
		}),
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
		RunE: a.inNamespace(func(ctx context.Context, c *client, namespace string) error {
			if err := a.listNamespace(ctx, c, namespace, f); err != nil {
				return because(err, "Unable to obtain the list of entities for namespace '%s'", namespace)
			}
			return nil
		}),
	}
	if limit > 0 {
		f.add(cmd)
	} else {
		f.addSort(cmd)
	}
	return cmd
}

// listNamespace prints the collections once all of them are known.
func (a *app) listNamespace(ctx context.Context, c *client, namespace string, f listFlags) error {
	collections := []string{"packages", "actions", "triggers", "rules"}
	all := make([][]entity, len(collections))
	for i, collection := range collections {
		var err error
		if all[i], err = c.entities(ctx, collection, namespace, c.path(namespace, collection), f); err != nil {
			return err
		}
	}
	shown := namespace
	if shown == "_" {
		shown = "default"
	}
	fmt.Fprintf(a.Out, "Entities in namespace: %s\n", a.paint("1", shown))
	for i, collection := range collections {
		a.printEntities(collection, all[i])
	}
	return nil
}
