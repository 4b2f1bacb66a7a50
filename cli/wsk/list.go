package wsk

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// listFlags are those of the lists of entities.
type listFlags struct {
	skip, limit int
	byName      bool
}

func (f *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&f.skip, "skip", "s", 0, "exclude the first SKIP number of entities from the result")
	cmd.Flags().IntVarP(&f.limit, "limit", "l", 30, "only return LIMIT number of entities from the collection")
	f.addSort(cmd)
}

func (f *listFlags) addSort(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.byName, "name-sort", "n", false, "sorts the list alphabetically by name, without regard to case")
}

func (f *listFlags) query() url.Values {
	return url.Values{"limit": {fmt.Sprint(f.limit)}, "skip": {fmt.Sprint(f.skip)}}
}

// entity is a line of a list.
type entity struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Publish     bool      `json:"publish"`
	Annotations keyValues `json:"annotations"`
	Status      string    `json:"status"`
}

func (e entity) fullName() string { return "/" + e.Namespace + "/" + e.Name }

// byName orders entities alphabetically, those outside packages first.
func byName(a, b entity) int {
	depth := func(e entity) int { return min(1, strings.Count(e.Namespace, "/")) }
	return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(strings.ToLower(a.fullName()), strings.ToLower(b.fullName())))
}

// listCommandFor lists one collection of a namespace.
func (a *app) listCommandFor(collection string) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "list all " + collection,
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: a.inNamespace(func(ctx context.Context, c *client, namespace string) error {
			return a.list(ctx, c, collection, namespace, c.path(namespace, collection), f)
		}),
	}
	f.add(cmd)
	return cmd
}

// list prints what is at path, a collection of a namespace or a part of it.
func (a *app) list(ctx context.Context, c *client, collection, namespace, path string, f listFlags) error {
	all, err := c.entities(ctx, collection, namespace, path, f)
	if err != nil {
		return because(err, "Unable to obtain the list of %s for namespace '%s'", collection, namespace)
	}
	a.printEntities(collection, all)
	return nil
}

// entities asks for a list, and for rules one by one, since lists do not tell
// a rule's status.
func (c *client) entities(ctx context.Context, collection, namespace, path string, f listFlags) ([]entity, error) {
	var all []entity
	if err := c.get(ctx, path, f.query(), &all); err != nil {
		return nil, err
	}
	if f.byName {
		slices.SortStableFunc(all, byName)
	}
	if collection != "rules" {
		return all, nil
	}
	for i := range all {
		if err := c.get(ctx, c.path(namespace, "rules", all[i].Name), nil, &all[i]); err != nil {
			return nil, because(err, "Unable to get status of rule '%s'", all[i].Name)
		}
	}
	return all, nil
}

func (a *app) printEntities(collection string, all []entity) {
	a.heading(collection)
	for _, e := range all {
		shared := "private"
		if e.Publish {
			shared = "shared"
		}
		switch collection {
		case "actions":
			fmt.Fprintf(a.Out, "%-70s %s %s\n", e.fullName(), shared, plain(e.Annotations.value("exec")))
		case "rules":
			fmt.Fprintf(a.Out, "%-70s %-20s %s\n", e.fullName(), shared, e.Status)
		default:
			fmt.Fprintf(a.Out, "%-70s %s\n", e.fullName(), shared)
		}
	}
}
