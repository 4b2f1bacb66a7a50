package wsk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// property is one line of the properties file as the commands know it.
type property struct {
	name, flag, label string
	secret            bool
	preset            string
}

// fileProperties are those that can be set, in the order in which they are shown.
func fileProperties() []property {
	return []property{
		{name: propCert, flag: "cert", label: "client cert", secret: true},
		{name: propKey, flag: "key", label: "Client key", secret: true},
		{name: propAuth, flag: "auth", label: "whisk auth", secret: true},
		{name: propHost, flag: "apihost", label: "whisk API host"},
		{name: propVersion, flag: "apiversion", label: "whisk API version", preset: "v1"},
		{name: propNamespace, flag: "namespace", label: "whisk namespace", preset: "_"},
	}
}

// noun is the label within a sentence.
func (p property) noun() string { return strings.ToLower(p.label[:1]) + p.label[1:] }

func (a *app) propertyCommand() *cobra.Command {
	return group("property", "work with whisk properties", a.propertySetCommand(), a.propertyUnsetCommand(), a.propertyGetCommand())
}

// propertiesCommand changes the properties file. change does so for one property and
// says what was done, "" if the command line does not name it.
func (a *app) propertiesCommand(verb string, change func(cmd *cobra.Command, p *properties, prop property) (done string, err error)) *cobra.Command {
	return &cobra.Command{
		Use:   verb,
		Short: verb + " property",
		Args:  between(0, 0, "No arguments are required."),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.readProperties()
			if err != nil {
				return err
			}
			var done []string
			for _, prop := range fileProperties() {
				line, err := change(cmd, p, prop)
				if err != nil {
					return err
				}
				if line != "" {
					done = append(done, line)
				}
			}
			return a.saveProperties(p, done)
		},
	}
}

// saveProperties writes the file and then says what was done.
func (a *app) saveProperties(p *properties, done []string) error {
	if len(done) == 0 {
		return usageError("No property was given.")
	}
	if err := p.save(); err != nil {
		return err
	}
	for _, line := range done {
		a.ok("%s", line)
	}
	return nil
}

func (a *app) propertySetCommand() *cobra.Command {
	cmd := a.propertiesCommand("set", func(cmd *cobra.Command, p *properties, prop property) (string, error) {
		flag := cmd.Flag(prop.flag)
		value := flag.Value.String()
		switch {
		case !flag.Changed:
			return "", nil
		case strings.ContainsAny(value, "\r\n"):
			return "", usageError("The value of --%s must be one line.", prop.flag)
		}
		p.set(prop.name, value)
		if prop.secret {
			return fmt.Sprintf("%s set. Run 'wsk property get --%s' to see the new value.", prop.noun(), prop.flag), nil
		}
		return fmt.Sprintf("%s set to %s", prop.noun(), value), nil
	})
	cmd.Flags().String("namespace", "", "whisk `NAMESPACE`")
	return cmd
}

func (a *app) propertyUnsetCommand() *cobra.Command {
	cmd := a.propertiesCommand("unset", func(cmd *cobra.Command, p *properties, prop property) (string, error) {
		if given, _ := cmd.Flags().GetBool(prop.flag); !given {
			return "", nil
		}
		p.unset(prop.name)
		if prop.preset != "" {
			return prop.noun() + " unset; the default value of " + prop.preset + " will be used.", nil
		}
		return prop.noun() + " unset.", nil
	})
	for _, prop := range fileProperties() {
		cmd.Flags().Bool(prop.flag, false, prop.label)
	}
	return cmd
}

// shownProperty is a line of `property get`; value finds out what it shows.
type shownProperty struct {
	flag, label string
	value       func(ctx context.Context) (string, error)
}

// shownProperties are the file's and those that are asked of the platform.
func (a *app) shownProperties(s settings) []shownProperty {
	known := map[string]string{
		propCert: s.cert, propKey: s.key, propAuth: s.auth, propHost: s.host, propVersion: s.version,
	}
	var all []shownProperty
	for _, prop := range fileProperties() {
		value := func(context.Context) (string, error) { return known[prop.name], nil }
		if prop.name == propNamespace {
			value = func(ctx context.Context) (string, error) { return a.ownNamespace(ctx, s), nil }
		}
		all = append(all, shownProperty{prop.flag, prop.label, value})
	}
	return append(all,
		shownProperty{"cliversion", "whisk CLI version", func(context.Context) (string, error) { return a.Version, nil }},
		shownProperty{"apibuild", "whisk API build", func(ctx context.Context) (string, error) { return a.apiBuild(ctx, "build") }},
		shownProperty{"apibuildno", "whisk API build number", func(ctx context.Context) (string, error) { return a.apiBuild(ctx, "buildno") }},
	)
}

func (a *app) propertyGetCommand() *cobra.Command {
	var all bool
	var output string
	cmd := &cobra.Command{
		Use:   "get",
		Short: "get property",
		Args:  between(0, 0, "No arguments are required."),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "std" && output != "raw" {
				return usageError("Supported output format are std|raw")
			}
			s, err := a.settings()
			if err != nil {
				return err
			}
			shown := a.shownProperties(s)
			wanted := func(flag string) bool { given, _ := cmd.Flags().GetBool(flag); return given }
			some := false
			for _, p := range shown {
				some = some || wanted(p.flag)
			}
			var failed error
			for _, p := range shown {
				if some && !all && !wanted(p.flag) {
					continue
				}
				value, err := p.value(cmd.Context())
				if err != nil {
					failed = err
				}
				a.propertyRow(p.label, value, output)
			}
			return failed
		},
	}
	for _, p := range a.shownProperties(settings{}) {
		cmd.Flags().Bool(p.flag, false, p.label)
	}
	cmd.Flags().BoolVar(&all, "all", false, "all properties")
	cmd.Flags().StringVarP(&output, "output", "o", "std", "output format in std|raw")
	return cmd
}

func (a *app) propertyRow(label, value, output string) {
	if output == "raw" {
		fmt.Fprintln(a.Out, value)
		return
	}
	tabs := "\t\t"
	if len(label) > 15 {
		tabs = "\t"
	}
	fmt.Fprintf(a.Out, "%s%s%s\n", a.paint("1", label), tabs, value)
}

// ownNamespace is the namespace of the key, or where the platform cannot be
// asked the one of the settings.
func (a *app) ownNamespace(ctx context.Context, s settings) string {
	c, err := a.client(true)
	if err != nil {
		return s.namespace
	}
	var names []string
	if err := c.get(ctx, "/namespaces", nil, &names); err != nil || len(names) == 0 {
		return s.namespace
	}
	return names[0]
}

// apiBuild reads a member of GET /api/v1, which needs no key.
func (a *app) apiBuild(ctx context.Context, member string) (string, error) {
	const unknown = "Unknown"
	fail := func(err error) (string, error) {
		return unknown, because(err, "Unable to obtain API build information")
	}
	c, err := a.client(false)
	if err != nil {
		return fail(err)
	}
	c.auth = ""
	var info map[string]json.RawMessage
	if err := c.call(ctx, http.MethodGet, "", nil, nil, &info); err != nil {
		return fail(err)
	}
	return plain(info[member]), nil
}
