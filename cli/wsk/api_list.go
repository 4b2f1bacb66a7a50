package wsk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// apiRow is a line of `api list`.
type apiRow struct{ action, verb, name, base, path, url string }

type apiListFlags struct {
	skip, limit  int
	byName, full bool
}

func (a *app) apiListCommand() *cobra.Command {
	var f apiListFlags
	cmd := &cobra.Command{
		Use:   "list [[BASE_PATH | API_NAME] [API_PATH [API_VERB]]",
		Short: "list APIs",
		Args:  between(0, 3, "Optional parameters are: API base path (or API name), API relative path and operation."),
		RunE: a.ofAPIs(func(ctx context.Context, c *client, t apiTarget) error {
			query := t.query(c)
			if t == (apiTarget{}) {
				query.Set("limit", fmt.Sprint(f.limit))
				query.Set("skip", fmt.Sprint(f.skip))
			}
			all, err := c.apis(ctx, query)
			var rows []apiRow
			if err == nil {
				rows, err = apiRows(all, t)
			}
			if err != nil {
				return because(err, "Unable to obtain the API list")
			}
			if f.byName {
				slices.SortStableFunc(rows, func(a, b apiRow) int { return strings.Compare(a.sortKey(), b.sortKey()) })
			}
			a.printAPIs(rows, f.full)
			return nil
		}),
	}
	cmd.Flags().IntVarP(&f.skip, "skip", "s", 0, "exclude the first SKIP number of entities from the result")
	cmd.Flags().IntVarP(&f.limit, "limit", "l", 30, "only return LIMIT number of entities from the collection")
	cmd.Flags().BoolVarP(&f.byName, "name-sort", "n", false, "sorts the list alphabetically by order of [BASE_PATH | API_NAME], API_PATH, then API_VERB")
	cmd.Flags().BoolVarP(&f.full, "full", "f", false, "display full description of each API")
	return cmd
}

func (r apiRow) sortKey() string { return strings.ToLower(r.base + r.path + r.verb) }

// apiRows are the operations of APIs that a target means.
func apiRows(all []*api, t apiTarget) ([]apiRow, error) {
	var rows []apiRow
	for _, one := range all {
		var doc swagger
		if err := json.Unmarshal(one.Doc, &doc); err != nil {
			return nil, err
		}
		title := ""
		if doc.Info != nil {
			title = doc.Info.Title
		}
		for _, op := range doc.operations() {
			if t.path != "" && t.path != op.path || t.verb != "" && !strings.EqualFold(t.verb, op.verb) {
				continue
			}
			row := apiRow{verb: op.verb, name: title, base: doc.BasePath, path: op.path, url: strings.TrimSuffix(one.BaseURL, "/") + op.path}
			if op.action != "" {
				row.action = "/" + op.namespace + "/" + op.action
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// printAPIs prints a table as wide as its longest names, up to a bound.
func (a *app) printAPIs(rows []apiRow, full bool) {
	a.ok("APIs")
	if full {
		for _, r := range rows {
			fmt.Fprintf(a.Out, "Action: %s\n   API Name: %s\n   Base path: %s\n   Path: %s\n   Verb: %s\n   URL: %s\n",
				r.action, r.name, r.base, r.path, r.verb, r.url)
		}
		return
	}
	actions, names := len("Action"), len("API Name")
	for _, r := range rows {
		actions, names = max(actions, len(r.action)), max(names, len(r.name))
	}
	actions, names = min(40, actions), min(30, names)
	if len(rows) == 0 {
		actions, names = 30, 19
	}
	line := func(action, verb, name, url string) string {
		return fmt.Sprintf("%-*s %7s %*s  %s", actions, action, verb, names+1, name, url)
	}
	a.heading(line("Action", "Verb", "API Name", "URL"))
	for _, r := range rows {
		fmt.Fprintln(a.Out, line(r.action, r.verb, r.name, r.url))
	}
}
