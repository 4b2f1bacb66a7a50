package wsk

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// pkg is a package as it travels and as `package get` shows it.
type pkg struct {
	Namespace   string      `json:"namespace,omitempty"`
	Name        string      `json:"name,omitempty"`
	Version     string      `json:"version,omitempty"`
	Publish     *bool       `json:"publish,omitempty"`
	Annotations keyValues   `json:"annotations,omitempty"`
	Parameters  keyValues   `json:"parameters,omitempty"`
	Binding     document    `json:"binding,omitempty"`
	Actions     []contained `json:"actions,omitempty"`
	Feeds       []contained `json:"feeds,omitempty"`
	Updated     int64       `json:"updated,omitempty"`
}

// contained is an action inside a package.
type contained struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Annotations keyValues `json:"annotations"`
}

func (a *app) packageCommand() *cobra.Command {
	return group("package", "work with packages",
		a.packageWriteCommand(false), a.packageWriteCommand(true), a.packageBindCommand(), a.packageGetCommand(),
		a.packageDeleteCommand(), a.listCommandFor("packages"), a.packageRefreshCommand())
}

func (a *app) packageWriteCommand(update bool) *cobra.Command {
	verb, done, short := "create", "created", "create a new package"
	if update {
		verb, done, short = "update", "updated", "update an existing package, or create a package if it does not exist"
	}
	var parameters, annotations given
	var shared string
	cmd := &cobra.Command{
		Use:   verb + " PACKAGE_NAME",
		Short: short,
		Args:  between(1, 1, "A package name is required."),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) (err error) {
			body := pkg{Namespace: n.namespace, Name: n.short()}
			if body.Publish, err = sharedFlag(shared); err != nil {
				return err
			}
			if body.Parameters, err = parameters.keyValues(); err != nil {
				return err
			}
			if body.Annotations, err = annotations.keyValues(); err != nil {
				return err
			}
			if err := c.put(ctx, c.entity("packages", n), update, &body, nil); err != nil {
				return because(err, "Unable to %s package '%s'", verb, n.short())
			}
			a.ok("%s package %s", done, n.short())
			return nil
		}),
	}
	parameters.addParameters(cmd)
	annotations.addAnnotations(cmd)
	cmd.Flags().StringVar(&shared, "shared", "", "package visibility `SCOPE`; yes = shared, no = private")
	return cmd
}

// sharedFlag reads --shared; nil if it was not given.
func sharedFlag(text string) (*bool, error) {
	yes, no := true, false
	switch strings.ToLower(text) {
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
	return getCommand(a, getting[pkg]{
		noun: "package", summary: "summarize package details; parameters with prefix \"*\" are bound, \"**\" are bound and finalized",
		summarize: a.packageSummary,
	})
}

func (a *app) packageSummary(p *pkg) {
	full := "/" + p.Namespace + "/" + p.Name
	a.summary("package", full, p.Annotations, p.Parameters)
	for _, act := range p.Actions {
		a.summary(" action", full+"/"+act.Name, act.Annotations, p.Parameters)
	}
	for _, feed := range p.Feeds {
		a.summary(" feed  ", full+"/"+feed.Name, feed.Annotations, p.Parameters)
	}
}

// packageDeleteCommand has a flag that the original lacks.
func (a *app) packageDeleteCommand() *cobra.Command {
	query := url.Values{}
	cmd := a.deleteCommand("package", "packages", "A package name is required.", query)
	cmd.Flags().BoolFunc("force", "delete the actions of the package too", func(string) error {
		query.Set("force", "true")
		return nil
	})
	return cmd
}
