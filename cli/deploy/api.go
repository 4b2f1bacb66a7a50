package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millrace/cli/deploy/plan"
	"millrace/cli/remote"
	"millrace/whisk"
)

// apiSteps write APIs: verb by verb where others may have some of the same base
// path, whole where the project has it alone.
func (s *session) apiSteps() []step {
	var steps []step
	for i := range s.plan.APIs {
		a := &s.plan.APIs[i]
		if a.Swagger != "" || a.Whole {
			steps = append(steps, step{kind: "api", name: a.BasePath, do: func(ctx context.Context) (string, error) { return "", s.putSwagger(ctx, a) }})
			continue
		}
		for j := range a.Operations {
			o := &a.Operations[j]
			name := strings.TrimSuffix(a.BasePath, "/") + o.Path + " " + o.Verb
			steps = append(steps, step{kind: "api", name: name, do: func(ctx context.Context) (string, error) { return "", s.putOperation(ctx, a, o) }})
		}
	}
	return steps
}

// manage calls the API management.
func (s *session) manage(ctx context.Context, method, call string, query url.Values, body, out any) error {
	uuid, _, _ := strings.Cut(s.client.Key(), ":")
	query.Set("accesstoken", s.token)
	query.Set("spaceguid", uuid)
	return s.client.Do(ctx, method, "/web/whisk.system/apimgmt/"+call+".http", query, body, out)
}

func (s *session) putOperation(ctx context.Context, a *plan.API, o *plan.Operation) error {
	n, secret, err := s.webAction(ctx, o)
	if err != nil {
		return err
	}
	doc := remote.API{
		Namespace: "_", BasePath: a.BasePath, Path: o.Path, Method: o.Verb, ID: "API:" + s.namespace + ":" + a.BasePath, APIName: a.Name,
		PathParameters: remote.PathParameters(o.Path),
		Action: &remote.APIAction{
			Name: strings.TrimPrefix(n.Path(), n.Namespace+"/"), Namespace: n.Namespace, BackendMethod: o.Verb,
			BackendURL: s.webURL(n, o.Response), Auth: s.client.Key(), SecureKey: secret,
		},
	}
	return s.createAPI(ctx, &doc, o.Response)
}

func (s *session) createAPI(ctx context.Context, doc *remote.API, response string) error {
	return s.manage(ctx, http.MethodPost, "createApi", url.Values{"responsetype": {response}}, map[string]any{"apidoc": doc}, nil)
}

// webAction makes sure that an operation leads to a web action and answers the
// secret that it asks for, if any.
func (s *session) webAction(ctx context.Context, o *plan.Operation) (whisk.FullName, string, error) {
	n, err := whisk.ParseFullName(o.Action, s.namespace)
	if err != nil {
		return n, "", err
	}
	var got annotated
	name := strings.TrimPrefix(n.Path(), n.Namespace+"/")
	if err := s.client.Do(ctx, http.MethodGet, s.path(n.Namespace, "actions", name), withoutCode, nil, &got); err != nil {
		return n, "", fmt.Errorf("reading the action %s: %w", n, err)
	}
	if !whisk.Truthy(got.Annotations.Find(plan.AnnotationWebExport)) {
		return n, "", fmt.Errorf("the action %s is no web action", n)
	}
	secret := got.Annotations.Find(plan.AnnotationSecret)
	switch string(secret) {
	case "", "true", "false", "null":
		return n, "", nil
	}
	if text := textOf(secret); text != "" {
		return n, text, nil
	}
	return n, string(secret), nil
}

func (s *session) webURL(n whisk.FullName, response string) string {
	pkg := n.Package
	if pkg == "" {
		pkg = "default"
	}
	path := url.PathEscape(n.Namespace) + "/" + url.PathEscape(pkg) + "/" + url.PathEscape(n.Name)
	return s.client.Host() + "/api/v1/web/" + path + "." + response
}

// putSwagger replaces the API of a base path.
func (s *session) putSwagger(ctx context.Context, a *plan.API) error {
	text := a.Swagger
	if text == "" {
		doc, err := s.swagger(ctx, a)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		text = string(encoded)
	}
	return s.createAPI(ctx, &remote.API{Namespace: "_", Swagger: text}, "json")
}

type object = map[string]any

// swagger is the document of an API made of operations.
func (s *session) swagger(ctx context.Context, a *plan.API) (object, error) {
	paths := map[string]object{}
	var cases []object
	for i := range a.Operations {
		o := &a.Operations[i]
		n, secret, err := s.webAction(ctx, o)
		if err != nil {
			return nil, err
		}
		id, address := operationID(o), s.webURL(n, o.Response)
		operation := object{
			"operationId": id,
			"responses":   object{"200": object{"description": "A successful invocation response"}},
			"x-openwhisk": object{"action": n.Name, "namespace": n.Namespace, "package": n.Package, "url": address},
		}
		if parameters := remote.PathParameters(o.Path); len(parameters) > 0 {
			operation["parameters"] = parameters
			address += "$(request.path)"
		}
		if paths[o.Path] == nil {
			paths[o.Path] = object{}
		}
		paths[o.Path][strings.ToLower(o.Verb)] = operation
		var execute []object
		if secret != "" {
			execute = append(execute, object{"set-variable": object{"actions": []object{{"set": "message.headers.X-Require-Whisk-Auth", "value": secret}}}})
		}
		execute = append(execute, object{"invoke": object{"target-url": address, "verb": "keep"}})
		cases = append(cases, object{"operations": []string{id}, "execute": execute})
	}
	doc := object{
		"swagger": "2.0", "basePath": a.BasePath, "info": object{"title": a.Name, "version": "1.0"}, "paths": paths,
		"x-ibm-configuration": object{
			"cors":     object{"enabled": !a.NoCORS},
			"assembly": object{"execute": []object{{"operation-switch": object{"case": cases}}}},
		},
	}
	for key, value := range a.Extra {
		doc[key] = value
	}
	return doc, nil
}

// operationID is the verb and the path as one word: getFooId of GET /foo/{id}.
func operationID(o *plan.Operation) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(o.Verb))
	for _, word := range strings.FieldsFunc(o.Path, func(c rune) bool {
		return !(c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}) {
		b.WriteString(strings.ToUpper(word[:1]) + strings.ToLower(word[1:]))
	}
	return b.String()
}

// deployedAPI is an API as the platform has it.
type deployedAPI struct {
	BasePath string                                  `json:"basePath"`
	Info     struct{ Title string }                  `json:"info"`
	Paths    map[string]map[string]deployedOperation `json:"paths"`
	Security json.RawMessage                         `json:"security"`
	Rates    json.RawMessage                         `json:"x-ibm-rate-limit"`
}

// guarded tells whether the API has more than operations.
func (a *deployedAPI) guarded() bool { return a.Security != nil || a.Rates != nil }

type deployedOperation struct {
	Whisk struct {
		Action    string `json:"action"`
		Namespace string `json:"namespace"`
		Package   string `json:"package"`
		URL       string `json:"url"`
	} `json:"x-openwhisk"`
}

// action is name or pkg/name.
func (o *deployedOperation) action() string {
	if o.Whisk.Package == "" || o.Whisk.Package == "default" {
		return o.Whisk.Action
	}
	return o.Whisk.Package + "/" + o.Whisk.Action
}

// apis are those of the namespace. A platform without API management has none.
func (s *session) apis(ctx context.Context) ([]deployedAPI, error) {
	var found struct {
		APIs []struct {
			Value struct {
				APIDoc deployedAPI `json:"apidoc"`
			} `json:"value"`
		} `json:"apis"`
	}
	if err := s.manage(ctx, http.MethodGet, "getApi", url.Values{}, nil, &found); err != nil {
		s.report.verbose("The platform does not list its APIs: %s", err)
		return nil, nil
	}
	var out []deployedAPI
	for _, a := range found.APIs {
		out = append(out, a.Value.APIDoc)
	}
	slices.SortFunc(out, func(a, b deployedAPI) int { return strings.Compare(a.BasePath, b.BasePath) })
	return out, nil
}
