package wsk

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

// named makes a command's run of one that works on the entity its first
// argument names; rest are the arguments behind it.
func (a *app) named(run func(ctx context.Context, c *client, n name, rest []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client(true)
		if err != nil {
			return err
		}
		n, err := c.parseName(args[0])
		if err != nil {
			return err
		}
		return run(cmd.Context(), c, n, args[1:])
	}
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
