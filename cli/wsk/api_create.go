package wsk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"millrace/cli/remote"
)

type apiCreateFlags struct {
	apiName, configFile, responseType string
}

const apiCreateRequired = "Specify a swagger file or specify an API base path with an API path, an API verb, and an action name."

func (a *app) apiCreateCommand() *cobra.Command {
	var f apiCreateFlags
	cmd := &cobra.Command{
		Use:   "create ([BASE_PATH] API_PATH API_VERB ACTION] | --config-file CFG_FILE)",
		Short: "create a new API",
		RunE: func(cmd *cobra.Command, args []string) error {
			least := 3
			if f.configFile != "" {
				least = 0
			}
			if err := between(least, 4, apiCreateRequired)(cmd, args); err != nil {
				return err
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			doc, err := f.document(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			query := apiTarget{}.query(c)
			query.Set("responsetype", f.responseType)
			var made api
			body := encode(map[string]any{"apidoc": doc})
			if err := c.manageAPI(cmd.Context(), http.MethodPost, "createApi", query, body, &made); err != nil {
				return because(err, "Unable to create API")
			}
			return a.printCreatedAPI(doc, &made)
		},
	}
	cmd.Flags().StringVarP(&f.apiName, "apiname", "n", "", "friendly name of the API; ignored when CFG_FILE is specified (default BASE_PATH)")
	cmd.Flags().StringVarP(&f.configFile, "config-file", "c", "", "`CFG_FILE` containing API configuration in swagger JSON format")
	cmd.Flags().StringVar(&f.responseType, "response-type", "json", "set the web action response `TYPE`. Possible values are html, http, json, text, svg")
	return cmd
}

func (f *apiCreateFlags) document(ctx context.Context, c *client, args []string) (*remote.API, error) {
	if f.configFile != "" {
		text, err := readSwagger(f.configFile)
		if err != nil {
			return nil, asUsage(because(err, "Unable to parse swagger file"))
		}
		return &remote.API{Namespace: c.namespace, Swagger: text}, nil
	}
	doc, action, err := f.parse(c, args)
	if err != nil {
		return nil, asUsage(because(err, "Unable to parse api command arguments"))
	}
	doc.Action.SecureKey, err = c.webActionKey(ctx, action)
	return doc, err
}

// asUsage is the same failure with the hint at --help.
func asUsage(err error) error {
	e := because(err, "").(*Error)
	e.Msg, e.Usage = err.Error(), true
	return e
}

// parse reads [BASE_PATH | API_NAME] PATH VERB ACTION.
func (f *apiCreateFlags) parse(c *client, args []string) (*remote.API, name, error) {
	fail := func(format string, args ...any) (*remote.API, name, error) {
		return nil, name{}, &Error{Msg: fmt.Sprintf(format, args...), Code: exitGeneral}
	}
	doc := &remote.API{Namespace: c.namespace, BasePath: "/", APIName: f.apiName}
	if len(args) == 4 {
		doc.BasePath, args = args[0], args[1:]
	}
	byName := !strings.HasPrefix(doc.BasePath, "/")
	if byName && f.apiName != "" {
		return fail("An API name can only be specified once.")
	}
	if !byName {
		doc.ID = "API:" + c.namespace + ":" + doc.BasePath
	}
	var err error
	if doc.Path, err = apiPath(args[0]); err != nil {
		return nil, name{}, err
	}
	if doc.Method, err = apiVerb(args[1]); err != nil {
		return nil, name{}, err
	}
	n, err := c.parseName(args[2])
	if err != nil {
		return fail("'%s' is not a valid action name: A valid qualified name must be specified.", args[2])
	}
	doc.PathParameters = remote.PathParameters(doc.Path)
	if len(doc.PathParameters) > 0 && f.responseType != "http" {
		return fail("A response type of 'http' is required when using path parameters.")
	}
	doc.Action = &remote.APIAction{
		Name: n.short(), Namespace: n.namespace, BackendMethod: doc.Method,
		BackendURL: c.webURL(n) + "." + f.responseType, Auth: c.auth,
	}
	return doc, n, nil
}

// webActionKey makes sure that an action is a web action and answers the secret
// that it asks of callers, if there is one.
func (c *client) webActionKey(ctx context.Context, n name) (string, error) {
	got, err := c.fetchAction(ctx, n, false)
	switch {
	case isNotFound(err):
		return "", &Error{Msg: fmt.Sprintf("API action '%s' does not exist", n.full()), Code: (http.StatusNotFound - 256) & 0xff, Usage: true}
	case err != nil:
		return "", because(err, "Unable to get action '%s'", n.short())
	case !got.Annotations.truthy("web-export"):
		const msg = "API action '%[1]s' is not a web action. Issue 'wsk action update \"%[1]s\" --web true' to convert the action to a web action."
		return "", &Error{Msg: fmt.Sprintf(msg, n.full()), Code: exitGeneral, Usage: true}
	}
	secret := got.Annotations.value(annotationWebSecret)
	if secret == nil || string(secret) == "true" || string(secret) == "false" {
		return "", nil
	}
	return plain(secret), nil
}

// readSwagger reads a swagger document in JSON, or in YAML, which becomes JSON.
func readSwagger(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", because(err, "Error reading swagger file '%s'", path)
	}
	if ext := strings.ToLower(filepath.Ext(path)); ext == ".yaml" || ext == ".yml" {
		if text, err = yamlToJSON(text); err != nil {
			return "", because(err, "Unable to parse YAML configuration file")
		}
	}
	var doc swagger
	if err := json.Unmarshal(text, &doc); err != nil {
		return "", because(err, "Error parsing swagger file '%s'", path)
	}
	if doc.BasePath == "" || doc.Swagger == "" || doc.Info == nil || doc.Paths == nil {
		return "", &Error{Msg: "Swagger file is invalid (missing basePath, info, paths, or swagger fields)", Code: exitGeneral}
	}
	for path := range doc.Paths {
		if _, err := apiPath(path); err != nil {
			return "", err
		}
	}
	return string(text), nil
}

// printCreatedAPI shows the addresses that are now served.
func (a *app) printCreatedAPI(doc *remote.API, made *api) error {
	base := strings.TrimSuffix(made.BaseURL, "/")
	if doc.Swagger == "" {
		path := strings.TrimSuffix(doc.BasePath, "/") + doc.Path
		a.ok("created API %s %s for action /%s/%s\n%s", path, doc.Method, doc.Action.Namespace, doc.Action.Name, base+doc.Path)
		return nil
	}
	var s swagger
	if err := json.Unmarshal(made.Doc, &s); err != nil {
		return because(err, "Unable to create API: reading the answer")
	}
	for _, op := range s.operations() {
		path, suffix := strings.TrimSuffix(s.BasePath, "/")+op.path, ""
		if op.action != "" {
			suffix = " for action " + op.action
		}
		a.ok("created API %s %s%s\n%s", path, op.verb, suffix, base+op.path)
	}
	return nil
}
