package wsk

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
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
		a.actionGetCommand(), a.deleteCommand("action", "actions", "An action name is required.", nil), a.actionListCommand())
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
		RunE: a.named(func(ctx context.Context, c *client, n name, field []string) error {
			return a.getAction(ctx, c, n, field, f)
		}),
	}
	cmd.Flags().BoolVarP(&f.summary, "summary", "s", false, "summarize action details; parameters with prefix \"*\" are bound")
	cmd.Flags().BoolVarP(&f.url, "url", "r", false, "get action url")
	cmd.Flags().BoolVar(&f.save, "save", false, "save action code to file corresponding with action name")
	cmd.Flags().StringVar(&f.saveAs, "save-as", "", "file to save action code to")
	return cmd
}

func (a *app) getAction(ctx context.Context, c *client, n name, field []string, f actionGetFlags) error {
	if knownField(action{}, field) != nil {
		return usageError("Invalid field filter '%s'.", field[0])
	}
	save := f.save || f.saveAs != ""
	got, err := c.fetchAction(ctx, n, save)
	if err != nil {
		return because(err, "Unable to get action '%s'", n.short())
	}
	switch {
	case save:
		return a.saveCode(n, got, f.saveAs)
	case f.url:
		a.ok("got action %s", n.short())
		fmt.Fprintln(a.Out, c.actionURL(n, got))
		return nil
	case f.summary:
		a.summary("action", "/"+got.Namespace+"/"+got.Name, got.Annotations, got.Parameters)
		return nil
	}
	return a.show("action", n.short(), got, field)
}

func (c *client) fetchAction(ctx context.Context, n name, code bool) (*action, error) {
	got := new(action)
	err := c.get(ctx, c.entity("actions", n), url.Values{"code": {fmt.Sprint(code)}}, got)
	return got, err
}

// actionURL is the web address of a web action, else its address in the API.
func (c *client) actionURL(n name, got *action) string {
	namespace, _, _ := strings.Cut(got.Namespace, "/")
	if !got.Annotations.truthy("web-export") {
		return c.host + "/api/" + c.version + c.entity("actions", name{namespace, n.pkg, n.entity})
	}
	return c.webURL(name{namespace, n.pkg, n.entity})
}

// webURL is where a web action is called.
func (c *client) webURL(n name) string {
	pkg := n.pkg
	if pkg == "" {
		pkg = "default"
	}
	return c.host + "/api/" + c.version + "/web/" + url.PathEscape(n.namespace) + "/" + url.PathEscape(pkg) + "/" + url.PathEscape(n.entity)
}

// saveCode writes an action's code to a new file in the working directory.
func (a *app) saveCode(n name, got *action, as string) error {
	switch {
	case got.Exec == nil || got.Exec.Kind == "sequence":
		return usageError("Cannot save action sequences")
	case got.Exec.Code == nil:
		return usageError("Cannot save Docker images")
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
	as, err := filepath.Abs(as)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(as, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		if os.IsExist(err) {
			return usageError("The file '%s' already exists", filepath.Base(as))
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

func (a *app) actionListCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE | PACKAGE_NAME]",
		Short: "list all actions in a namespace or actions contained in a package",
		Args:  between(0, 1, "An optional namespace is the only valid argument."),
		RunE: a.asking(func(ctx context.Context, c *client, args []string) error {
			namespace, pkg, err := c.collection(args)
			if err != nil {
				return err
			}
			path := c.path(namespace, "actions")
			if pkg != "" {
				path = c.path(namespace, "actions", pkg) + "/"
			}
			return a.list(ctx, c, "actions", namespace, path, f)
		}),
	}
	f.add(cmd)
	return cmd
}
