package wsk

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

// asking makes a command's run of one that asks the platform with the key.
func (a *app) asking(run func(ctx context.Context, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client(true)
		if err != nil {
			return err
		}
		return run(cmd.Context(), c, args)
	}
}

// named is asking for a command that works on the entity its first argument names;
// rest are the arguments behind it.
func (a *app) named(run func(ctx context.Context, c *client, n name, rest []string) error) func(*cobra.Command, []string) error {
	return a.asking(func(ctx context.Context, c *client, args []string) error {
		n, err := c.parseName(args[0])
		if err != nil {
			return err
		}
		return run(ctx, c, n, args[1:])
	})
}

// inNamespace is asking for a command whose only argument may be a namespace.
func (a *app) inNamespace(run func(ctx context.Context, c *client, namespace string) error) func(*cobra.Command, []string) error {
	return a.asking(func(ctx context.Context, c *client, args []string) error {
		namespace, err := c.onlyNamespace(args)
		if err != nil {
			return err
		}
		return run(ctx, c, namespace)
	})
}

// getting is how an entity, a T, is got and shown.
type getting[T any] struct {
	noun string
	// summary is the help of --summary, for which summarize prints.
	summary   string
	summarize func(got *T)
	// instead, unless nil, may show the entity in another way where neither a field
	// nor a summary is asked for.
	instead func(ctx context.Context, c *client, n name, got *T) (shown bool, err error)
}

// getCommand makes the command that shows an entity, its summary or one of its fields.
func getCommand[T any](a *app, g getting[T]) *cobra.Command {
	var summary bool
	cmd := &cobra.Command{
		Use:   "get " + strings.ToUpper(g.noun) + "_NAME [FIELD_FILTER]",
		Short: "get " + g.noun,
		Args:  between(1, 2, "A "+g.noun+" name is required."),
		RunE: a.named(func(ctx context.Context, c *client, n name, field []string) error {
			var got T
			if err := knownField(got, field); err != nil {
				return err
			}
			fail := func(err error) error { return because(err, "Unable to get %s '%s'", g.noun, n.short()) }
			if err := c.get(ctx, c.entity(g.noun+"s", n), nil, &got); err != nil {
				return fail(err)
			}
			switch {
			case summary:
				g.summarize(&got)
				return nil
			case g.instead != nil && len(field) == 0:
				if shown, err := g.instead(ctx, c, n, &got); err != nil {
					return fail(err)
				} else if shown {
					return nil
				}
			}
			return a.show(g.noun, n.short(), got, field)
		}),
	}
	cmd.Flags().BoolVarP(&summary, "summary", "s", false, g.summary)
	return cmd
}

// deleteCommand deletes an entity of a collection by its name; query may be nil.
func (a *app) deleteCommand(noun, collection, required string, query url.Values) *cobra.Command {
	return &cobra.Command{
		Use:   "delete " + strings.ToUpper(noun) + "_NAME",
		Short: "delete " + noun,
		Args:  between(1, 1, required),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			if err := c.remove(ctx, c.entity(collection, n), query); err != nil {
				return because(err, "Unable to delete %s '%s'", noun, n.short())
			}
			a.ok("deleted %s %s", noun, n.short())
			return nil
		}),
	}
}

// show prints a document, or the one of its fields that the command line names.
func (a *app) show(noun, name string, document any, field []string) error {
	if len(field) == 0 {
		a.ok("got %s %s", noun, name)
		a.json(document)
		return nil
	}
	value, known := fieldOf(document, field[0])
	if !known {
		return invalidField(field[0])
	}
	a.ok("got %s %s, displaying field %s", noun, name, field[0])
	a.json(value)
	return nil
}

// knownField answers an error if a command line names a field that such a
// document cannot have.
func knownField(document any, field []string) error {
	if len(field) == 0 {
		return nil
	}
	if _, known := fieldOf(document, field[0]); !known {
		return invalidField(field[0])
	}
	return nil
}

func invalidField(name string) error {
	return &Error{Msg: fmt.Sprintf("Invalid field filter '%s'.", name), Code: exitGeneral}
}

// fieldOf finds a field of a struct, or of what points to one, by its name in
// JSON without regard to case.
func fieldOf(document any, name string) (value any, known bool) {
	v := reflect.Indirect(reflect.ValueOf(document))
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if strings.EqualFold(tag, name) {
			return v.Field(i).Interface(), true
		}
	}
	return nil, false
}
