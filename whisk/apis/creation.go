package apis

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"millrace/internal/jsonvalue"
	"millrace/whisk"
)

// creation is what createApi is asked to make: a whole Swagger text, or one
// endpoint.
type creation struct {
	basePath string
	swagger  *swagger
	endpoint *endpoint
}

// applyTo answers the text of an API, new if old is nil. The error is a refusal.
func (c *creation) applyTo(old *api) (json.RawMessage, error) {
	s := c.swagger
	switch {
	case s != nil:
	case old == nil:
		s = newSwagger(c.basePath, c.endpoint.title)
	default:
		var err error
		if s, err = parseSwagger(old.doc.Swagger); err != nil {
			return nil, err
		}
	}
	if c.endpoint != nil {
		if err := s.add(c.endpoint); err != nil {
			return nil, err
		}
	}
	return s.encode()
}

// parseCreation checks the arguments of createApi in the original's order.
// Errors are refusals.
func parseCreation(r *request) (*creation, error) {
	if !r.truthy("apidoc") {
		return nil, refusal(msgDocRequired)
	}
	doc, err := r.inner("apidoc", msgDocUnparsable, func(typ string) string {
		return msgWrongType("apidoc field", typ, "a JSON object or a JSON string")
	})
	if err != nil {
		return nil, err
	}
	if !doc.truthy("namespace") {
		return nil, refusal(msgDocMissing("namespace"))
	}
	if doc.truthy("swagger") {
		return parseSwaggerCreation(doc, r.owner.Namespace)
	}
	for _, field := range []string{"gatewayBasePath", "gatewayPath", "gatewayMethod", "action"} {
		if !doc.truthy(field) {
			return nil, refusal(msgDocMissing(field))
		}
	}
	action, err := parseObject(doc["action"])
	if err != nil {
		return nil, refusal(msgActionMissing("backendMethod"))
	}
	for _, field := range []string{"backendMethod", "backendUrl", "namespace", "name", "authkey"} {
		if !action.truthy(field) {
			return nil, refusal(msgActionMissing(field))
		}
	}
	e, err := parseEndpoint(doc, action, r.owner.Namespace)
	if err != nil {
		return nil, err
	}
	if e.responseType = r.text("responsetype"); e.responseType == "" {
		e.responseType = "json"
	}
	if !slices.Contains([]string{"json", "http", "html", "text", "svg"}, e.responseType) {
		return nil, refusal(msgResponseType)
	}
	return &creation{basePath: e.basePath, endpoint: e}, nil
}

// inner reads a member that is an object, or a string that holds one.
func (o object) inner(name, unparsable string, wrongType func(typ string) string) (object, error) {
	raw := bytes.TrimSpace(o[name])
	if raw[0] == '"' {
		raw = []byte(o.text(name))
		if whisk.CheckJSON(raw) != nil {
			return nil, refusal(unparsable)
		}
	}
	if !whisk.IsObject(raw) {
		return nil, refusal(wrongType(typeOf(raw)))
	}
	return parseObject(raw)
}

// typeOf names a JSON value as JavaScript does.
func typeOf(raw []byte) string {
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case '{', '[', 'n':
		return "object"
	}
	return "number"
}

func parseSwaggerCreation(doc object, owner string) (*creation, error) {
	if doc.truthy("gatewayBasePath") {
		return nil, refusal(msgBothForms)
	}
	text, err := doc.inner("swagger", msgSwaggerUnparsable, func(typ string) string {
		return "swagger field is " + typ + " and should be an object or a JSON string."
	})
	if err != nil {
		return nil, err
	}
	for _, field := range []string{"basePath", "paths", "info"} {
		if !text.truthy(field) {
			return nil, refusal(msgSwaggerMissing(field))
		}
	}
	raw, err := jsonvalue.Encode(text)
	if err != nil {
		return nil, refusal(msgSwaggerUnparsable)
	}
	s, err := parseSwagger(raw)
	if err != nil {
		return nil, err
	}
	if err := s.resolveNamespace(owner); err != nil {
		return nil, err
	}
	return &creation{basePath: s.basePath(), swagger: s}, nil
}

func parseEndpoint(doc, action object, owner string) (*endpoint, error) {
	e := &endpoint{
		basePath:   "/" + strings.TrimPrefix(doc.text("gatewayBasePath"), "/"),
		path:       "/" + strings.TrimPrefix(doc.text("gatewayPath"), "/"),
		verb:       strings.ToLower(doc.text("gatewayMethod")),
		title:      doc.text("apiName"),
		namespace:  action.text("namespace"),
		secret:     action.text("secureKey"),
		parameters: parameterList(doc["pathParameters"]),
	}
	if e.namespace == "_" {
		e.namespace = owner
	}
	backend, err := url.Parse(action.text("backendUrl"))
	if err != nil || backend.Scheme != "http" && backend.Scheme != "https" || backend.Host == "" {
		return nil, refusal(msgBackendURL)
	}
	e.host = backend.Scheme + "://" + backend.Host
	e.pkg, e.action = splitActionName(action.text("name"))
	if !whisk.ValidName(e.namespace) || !whisk.ValidName(e.action) || e.pkg != "" && !whisk.ValidName(e.pkg) {
		return nil, refusal(msgActionName)
	}
	return e, nil
}

// splitActionName takes apart name, pkg/name, /ns/name or /ns/pkg/name. The
// namespace is told beside.
func splitActionName(name string) (pkg, action string) {
	if rest, ok := strings.CutPrefix(name, "/"); ok {
		_, name, _ = strings.Cut(rest, "/")
	} else if strings.Count(name, "/") == 2 {
		_, name, _ = strings.Cut(name, "/")
	}
	if pkg, action, ok := strings.Cut(name, "/"); ok {
		return pkg, action
	}
	return "", name
}

// parameterList answers a list of parameters, nil if there are none.
func parameterList(raw json.RawMessage) json.RawMessage {
	var list []object
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil
	}
	return raw
}

// resolveNamespace puts the owner in place of _ where the text names namespaces
// of actions. Errors are refusals.
func (s *swagger) resolveNamespace(owner string) error {
	operations, err := s.operations()
	if err != nil {
		return err
	}
	for i := range operations {
		o := &operations[i]
		x, err := parseObject(o.doc["x-openwhisk"])
		if err != nil {
			return refusal(msgUnreadable("x-openwhisk"))
		}
		if len(x) == 0 {
			continue
		}
		if x.text("namespace") == "_" {
			x.set("namespace", owner)
		}
		if url := x.text("url"); url != "" {
			x.set("url", inNamespace(url, owner))
		}
		o.doc.set("x-openwhisk", x)
		s.paths[o.path].set(o.verb, o.doc)
	}
	s.resolveTargets(owner)
	return nil
}

func inNamespace(target, owner string) string {
	return strings.Replace(target, webActions+"_/", webActions+url.PathEscape(owner)+"/", 1)
}

// resolveTargets does so in the gateway configuration.
func (s *swagger) resolveTargets(owner string) {
	name := s.configurationName()
	raw, ok := s.doc[name]
	if !ok {
		return
	}
	own := webActions + url.PathEscape(owner) + "/"
	raw = bytes.ReplaceAll(raw, []byte(webActions+"_/"), []byte(own))
	escaped := strings.ReplaceAll(webActions+"_/", "/", `\/`) // as some write it in JSON
	s.doc[name] = bytes.ReplaceAll(raw, []byte(escaped), []byte(own))
}
