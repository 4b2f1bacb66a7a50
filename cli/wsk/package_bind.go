package wsk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// binding is the body that makes a package a binding of another one.
type binding struct {
	Publish     *bool     `json:"publish,omitempty"`
	Annotations keyValues `json:"annotations,omitempty"`
	Parameters  keyValues `json:"parameters,omitempty"`
	Binding     struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"binding"`
}

func (a *app) packageBindCommand() *cobra.Command {
	var parameters, annotations given
	cmd := &cobra.Command{
		Use:   "bind PACKAGE_NAME BOUND_PACKAGE_NAME",
		Short: "bind parameters to a package",
		Args:  between(2, 2, "A package name and binding name are required."),
		RunE: a.named(func(ctx context.Context, c *client, provider name, rest []string) error {
			n, err := c.parseName(rest[0])
			if err != nil {
				return err
			}
			var body binding
			body.Binding.Namespace, body.Binding.Name = provider.namespace, provider.short()
			if body.Parameters, err = parameters.keyValues(); err != nil {
				return err
			}
			if body.Annotations, err = annotations.keyValues(); err != nil {
				return err
			}
			if err := c.put(ctx, c.entity("packages", n), false, &body, nil); err != nil {
				return because(err, "Binding creation failed")
			}
			a.ok("created binding %s", n.short())
			return nil
		}),
	}
	parameters.addParameters(cmd)
	annotations.addAnnotations(cmd)
	return cmd
}

func (a *app) packageRefreshCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "refresh [NAMESPACE]",
		Short: "refresh package bindings",
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: a.inNamespace(func(ctx context.Context, c *client, namespace string) error {
			var changes struct{ Added, Updated, Deleted []json.RawMessage }
			if err := c.call(ctx, http.MethodPost, c.path(namespace, "packages", "refresh"), nil, nil, &changes); err != nil {
				return because(err, "Package refresh for namespace '%s' failed", namespace)
			}
			fmt.Fprintf(a.Out, "'%s' refreshed successfully\n", namespace)
			a.refreshed("created", changes.Added)
			a.refreshed("updated", changes.Updated)
			a.refreshed("deleted", changes.Deleted)
			return nil
		}),
	}
}

func (a *app) refreshed(done string, bindings []json.RawMessage) {
	if len(bindings) == 0 {
		fmt.Fprintf(a.Out, "no bindings %s\n", done)
		return
	}
	fmt.Fprintf(a.Out, "%s bindings:\n", done)
	a.json(bindings)
}
