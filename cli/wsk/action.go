package wsk

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
)

// action is an action as it travels and as `action get` shows it.
type action struct {
	Namespace      string    `json:"namespace,omitempty"`
	Name           string    `json:"name,omitempty"`
	Version        string    `json:"version,omitempty"`
	Exec           *exec     `json:"exec,omitempty"`
	Annotations    keyValues `json:"annotations,omitempty"`
	Parameters     keyValues `json:"parameters,omitempty"`
	Limits         *limits   `json:"limits,omitempty"`
	Publish        *bool     `json:"publish,omitempty"`
	Updated        int64     `json:"updated,omitempty"`
	DelAnnotations []string  `json:"delAnnotations,omitempty"`
}

type exec struct {
	Kind       string   `json:"kind,omitempty"`
	Code       *string  `json:"code,omitempty"`
	Image      string   `json:"image,omitempty"`
	Main       string   `json:"main,omitempty"`
	Components []string `json:"components,omitempty"`
	Binary     *bool    `json:"binary,omitempty"`
}

type limits struct {
	Timeout     *int `json:"timeout,omitempty"`
	Memory      *int `json:"memory,omitempty"`
	Logs        *int `json:"logs,omitempty"`
	Concurrency *int `json:"concurrency,omitempty"`
	Instances   *int `json:"instances,omitempty"`
}

func (a *app) actionCommand() *cobra.Command {
	return group("action", "work with actions",
		a.actionWriteCommand(false), a.actionWriteCommand(true), a.actionInvokeCommand(),
		a.actionGetCommand(), a.actionDeleteCommand(), a.actionListCommand())
}

type actionGetFlags struct {
	summary, url, save bool
	saveAs             string
}

func (a *app) actionGetCommand() *cobra.Command {
	var f actionGetFlags
	cmd := &cobra.Command{
		Use:   "get ACTION_NAME [FIELD_FILTER | --summary | --url]",
		Short: "get action",
		Args:  between(1, 2, "An action name is required."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := a.getAction(cmd.Context(), c, args, f); err != nil {
				return because(err, "Unable to get action '%s'", args[0])
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&f.summary, "summary", "s", false, "summarize action details; parameters with prefix \"*\" are bound")
	cmd.Flags().BoolVarP(&f.url, "url", "r", false, "get action url")
	cmd.Flags().BoolVar(&f.save, "save", false, "save action code to file corresponding with action name")
	cmd.Flags().StringVar(&f.saveAs, "save-as", "", "file to save action code to")
	return cmd
}

func (a *app) getAction(ctx context.Context, c *client, args []string, f actionGetFlags) error {
	n, err := c.parseName(args[0])
	if err != nil {
		return err
	}
	save := f.save || f.saveAs != ""
	got, err := c.fetchAction(ctx, n, save)
	if err != nil {
		return err
	}
	switch {
	case save:
		return a.saveCode(n, got, f.saveAs)
	case f.url:
		a.ok("got action %s", n.entity)
		fmt.Fprintln(a.Out, c.actionURL(n, got))
		return nil
	case f.summary:
		a.summary("action", "/"+got.Namespace+"/"+got.Name, got.Annotations, got.Parameters)
		return nil
	case len(args) > 1:
		return a.field("action "+n.entity, got, args[1])
	}
	a.ok("got action %s", n.entity)
	a.json(got)
	return nil
}

func (c *client) fetchAction(ctx context.Context, n name, code bool) (*action, error) {
	got := new(action)
	err := c.get(ctx, c.path(n.namespace, append([]string{"actions"}, n.parts()...)...), url.Values{"code": {fmt.Sprint(code)}}, got)
	return got, err
}

// actionURL is the web address of a web action, else its address in the API.
func (c *client) actionURL(n name, got *action) string {
	namespace, _, _ := strings.Cut(got.Namespace, "/")
	if !got.Annotations.truthy("web-export") {
		return c.host + "/api/" + c.version + c.path(namespace, append([]string{"actions"}, n.parts()...)...)
	}
	pkg := n.pkg
	if pkg == "" {
		pkg = "default"
	}
	return c.host + "/api/" + c.version + "/web/" + url.PathEscape(namespace) + "/" + url.PathEscape(pkg) + "/" + url.PathEscape(n.entity)
}

// saveCode writes an action's code to a new file in the working directory.
func (a *app) saveCode(n name, got *action, as string) error {
	if got.Exec == nil || got.Exec.Code == nil || got.Exec.Kind == "sequence" {
		return usageError("Cannot save the code of a sequence or of an action that has none")
	}
	content, binary := []byte(*got.Exec.Code), got.Exec.Binary != nil && *got.Exec.Binary
	if binary {
		decoded, err := base64.StdEncoding.DecodeString(*got.Exec.Code)
		if err != nil {
			return because(err, "Unable to decode the code")
		}
		content = decoded
	}
	if as == "" {
		as = n.entity + extension(got.Exec.Kind, binary)
	}
	file, err := os.OpenFile(as, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		if os.IsExist(err) {
			return &Error{Msg: fmt.Sprintf("The file '%s' already exists.", as), Code: exitGeneral}
		}
		return err
	}
	_, err = file.Write(content)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	a.ok("saved action code to %s", as)
	return nil
}

func (a *app) actionDeleteCommand() *cobra.Command {
	return a.deleteCommand("action", "actions", "An action name is required.")
}

// deleteCommand deletes an entity of a collection by its name.
func (a *app) deleteCommand(noun, collection, required string) *cobra.Command {
	return &cobra.Command{
		Use:   "delete " + strings.ToUpper(noun) + "_NAME",
		Short: "delete " + noun,
		Args:  between(1, 1, required),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			n, err := c.parseName(args[0])
			if err == nil {
				err = c.remove(cmd.Context(), c.path(n.namespace, append([]string{collection}, n.parts()...)...))
			}
			if err != nil {
				return because(err, "Unable to delete %s '%s'", noun, args[0])
			}
			a.ok("deleted %s %s", noun, n.entity)
			return nil
		},
	}
}

// listFlags are those of the lists of entities.
type listFlags struct {
	skip, limit int
	byName      bool
}

func (f *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&f.skip, "skip", "s", 0, "exclude the first SKIP number of entities from the result")
	cmd.Flags().IntVarP(&f.limit, "limit", "l", 30, "only return LIMIT number of entities from the collection")
	cmd.Flags().BoolVarP(&f.byName, "name-sort", "n", false, "sorts the list alphabetically by name, without regard to case")
	cmd.Flags().BoolVar(&f.byName, "sort", false, "the same as --name-sort")
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

func (a *app) actionListCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE | PACKAGE_NAME]",
		Short: "list all actions in a namespace or actions contained in a package",
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			namespace, pkg, err := c.collection(args)
			if err != nil {
				return err
			}
			path := c.path(namespace, "actions")
			if pkg != "" {
				path = c.path(namespace, "actions", pkg) + "/"
			}
			if err := a.listEntities(cmd.Context(), c, "actions", path, f); err != nil {
				return because(err, "Unable to obtain the list of actions for namespace '%s'", namespace)
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// listEntities prints a list with its title.
func (a *app) listEntities(ctx context.Context, c *client, collection, path string, f listFlags) error {
	var all []entity
	if err := c.get(ctx, path, f.query(), &all); err != nil {
		return err
	}
	if f.byName {
		sort.SliceStable(all, func(i, j int) bool { return strings.ToLower(all[i].fullName()) < strings.ToLower(all[j].fullName()) })
	}
	a.heading(collection)
	for _, e := range all {
		a.entityRow(collection, e)
	}
	return nil
}

func (e entity) fullName() string { return "/" + e.Namespace + "/" + e.Name }

func (a *app) entityRow(collection string, e entity) {
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

// summary prints what an entity says about itself: its description and the
// names of its parameters, the bound ones with an asterisk.
func (a *app) summary(noun, fullName string, annotations, parameters keyValues) {
	line := a.paint("1", noun) + " " + fullName
	if text := plain(annotations.value("description")); text != "" {
		line += ": " + text
	}
	names := parameterNames(annotations, parameters)
	if len(names) == 0 {
		names = []string{"none defined"}
	}
	fmt.Fprintf(a.Out, "%s\n   (%s: %s)\n", line, a.paint("1", "parameters"), strings.Join(names, ", "))
}
