package wsk

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// api is what the platform tells about an API: where it is served, and the
// swagger document that describes it.
type api struct {
	Namespace string          `json:"namespace"`
	BaseURL   string          `json:"gwApiUrl"`
	Activated bool            `json:"gwApiActivated"`
	TenantID  string          `json:"tenantId"`
	Doc       json.RawMessage `json:"apidoc,omitempty"`
}

// swagger is what the commands read of an API's document.
type swagger struct {
	Swagger  string `json:"swagger"`
	BasePath string `json:"basePath"`
	Info     *struct {
		Title string `json:"title"`
	} `json:"info"`
	Paths map[string]map[string]json.RawMessage `json:"paths"`
}

// operation is one verb of one path of an API. Action is [pkg/]name, empty if
// the document names none.
type operation struct {
	path, verb, namespace, action string
}

func (a *app) apiCommand() *cobra.Command {
	return group("api", "work with APIs", a.apiCreateCommand(), a.apiGetCommand(), a.apiDeleteCommand(), a.apiListCommand())
}

// apiVerbs are the verbs that an API can have.
var apiVerbs = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// operations are the verbs of the document's paths in alphabetical order.
func (s *swagger) operations() []operation {
	var all []operation
	for path, verbs := range s.Paths {
		for verb, text := range verbs {
			if !slices.Contains(apiVerbs, strings.ToUpper(verb)) {
				continue // such as parameters, which stand beside the verbs
			}
			var op struct {
				Target struct {
					Action    string `json:"action"`
					Package   string `json:"package"`
					Namespace string `json:"namespace"`
				} `json:"x-openwhisk"`
			}
			_ = json.Unmarshal(text, &op) // a document of the user's own may say something else there
			action := op.Target.Action
			if op.Target.Package != "" {
				action = op.Target.Package + "/" + action
			}
			all = append(all, operation{path, verb, op.Target.Namespace, action})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+"\x00"+a.verb, b.path+"\x00"+b.verb) })
	return all
}

// apiTarget is what a command on APIs is about: a base path or an API's name,
// and perhaps one path and one verb of it.
type apiTarget struct{ base, path, verb string }

func parseAPITarget(args []string) (t apiTarget, err error) {
	if len(args) > 0 {
		t.base = args[0]
	}
	if len(args) > 1 {
		if t.path, err = apiPath(args[1]); err != nil {
			return t, err
		}
	}
	if len(args) > 2 {
		t.verb, err = apiVerb(args[2])
	}
	return t, err
}

func apiPath(text string) (string, error) {
	if !strings.HasPrefix(text, "/") {
		return "", &Error{Msg: "'" + text + "' must begin with '/'.", Code: exitGeneral, Usage: true}
	}
	return text, nil
}

func apiVerb(text string) (string, error) {
	verb := strings.ToUpper(text)
	if !slices.Contains(apiVerbs, verb) {
		msg := "'" + text + "' is not a valid API verb.  Valid values are: [" + strings.Join(apiVerbs, " ") + "]"
		return "", &Error{Msg: msg, Code: exitGeneral, Usage: true}
	}
	return verb, nil
}

// ofAPIs is asking for a command on APIs, whose arguments name a target.
func (a *app) ofAPIs(run func(ctx context.Context, c *client, t apiTarget) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		t, err := parseAPITarget(args)
		if err != nil {
			return err
		}
		return a.asking(func(ctx context.Context, c *client, _ []string) error { return run(ctx, c, t) })(cmd, args)
	}
}

// query is what every request about APIs says.
func (t apiTarget) query(c *client) url.Values {
	tenant, _, _ := strings.Cut(c.auth, ":")
	q := url.Values{"accesstoken": {c.apiToken}, "spaceguid": {tenant}}
	for key, value := range map[string]string{"basepath": t.base, "relpath": t.path, "operation": t.verb} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return q
}

// manageAPI calls one of the web actions that keep the APIs.
func (c *client) manageAPI(ctx context.Context, method, action string, query url.Values, body []byte, out any) error {
	return c.call(ctx, method, "/web/whisk.system/apimgmt/"+action+".http", query, body, out)
}

// apis asks for the APIs of the caller that the query means.
func (c *client) apis(ctx context.Context, query url.Values) ([]*api, error) {
	var got struct {
		APIs []struct {
			Value *api `json:"value"`
		} `json:"apis"`
	}
	if err := c.manageAPI(ctx, http.MethodGet, "getApi", query, nil, &got); err != nil {
		return nil, err
	}
	var all []*api
	for _, a := range got.APIs {
		if a.Value != nil {
			all = append(all, a.Value)
		}
	}
	return all, nil
}

func (a *app) apiGetCommand() *cobra.Command {
	var full bool
	var format string
	cmd := &cobra.Command{
		Use:   "get BASE_PATH | API_NAME",
		Short: "get API details",
		Args:  between(1, 1, "An API base path or API name is required."),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "json" && format != "yaml" {
				return usageError("Invalid format type: %s", format)
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			all, err := c.apis(cmd.Context(), apiTarget{base: args[0]}.query(c))
			if err != nil {
				return because(err, "Unable to get API '%s'", args[0])
			}
			if len(all) == 0 || all[0].Doc == nil {
				return noSuchAPI(args[0])
			}
			shown := all[0].Doc
			if full {
				shown = encode(all[0])
			}
			if format == "yaml" {
				return a.yaml(shown)
			}
			a.json(shown)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&full, "full", "f", false, "display full API configuration details")
	cmd.Flags().StringVar(&format, "format", "json", "specify the API output `TYPE`, either json or yaml")
	return cmd
}

func noSuchAPI(base string) error {
	what := "API name"
	if strings.HasPrefix(base, "/") {
		what = "basepath"
	}
	return &Error{Msg: "API does not exist for " + what + " " + base, Code: exitGeneral}
}

func (a *app) apiDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete BASE_PATH | API_NAME [API_PATH [API_VERB]]",
		Short: "delete an API",
		Args:  between(1, 3, "An API base path or API name is required.  An optional API relative path and operation may also be provided."),
		RunE: a.ofAPIs(func(ctx context.Context, c *client, t apiTarget) error {
			if err := c.manageAPI(ctx, http.MethodDelete, "deleteApi", t.query(c), nil, nil); err != nil {
				return because(err, "Unable to delete API")
			}
			switch {
			case t.path == "":
				a.ok("deleted API %s", t.base)
			case t.verb == "":
				a.ok("deleted %s from %s", t.path, t.base)
			default:
				a.ok("deleted %s %s from %s", t.path, t.verb, t.base)
			}
			return nil
		}),
	}
}
