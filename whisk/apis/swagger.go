package apis

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"millrace/internal/jsonvalue"
	"millrace/whisk"
)

// object is a JSON object of which some members are looked at and the rest is
// kept. encoding/json would also take a member whose name differs in case.
type object map[string]json.RawMessage

// parseObject reads an object; absent or null is an empty one.
func parseObject(raw json.RawMessage) (object, error) {
	o := object{}
	if len(raw) == 0 {
		return o, nil
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return object{}, nil
	}
	return o, nil
}

// text answers a member that is a string, or a number in its text form.
func (o object) text(name string) string {
	raw := bytes.TrimSpace(o[name])
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// set puts a member that encodes without fail.
func (o object) set(name string, v any) {
	raw, err := jsonvalue.Encode(v)
	if err != nil {
		panic(err)
	}
	o[name] = raw
}

// refusal is an error whose text is for the client.
type refusal string

func (r refusal) Error() string { return string(r) }

var verbs = []string{"get", "put", "post", "delete", "patch", "head", "options"}

// swagger is a Swagger text taken apart as far as the gateway looks into it.
type swagger struct {
	doc   object
	paths map[string]object
}

// parseSwagger reads a text. Errors are refusals.
func parseSwagger(raw json.RawMessage) (*swagger, error) {
	doc, err := parseObject(raw)
	if err != nil {
		return nil, refusal(msgSwaggerUnparsable)
	}
	s := &swagger{doc: doc, paths: map[string]object{}}
	var paths object
	if paths, err = parseObject(doc["paths"]); err != nil {
		return nil, refusal(msgUnreadable("paths"))
	}
	for path, raw := range paths {
		if s.paths[path], err = parseObject(raw); err != nil {
			return nil, refusal(msgUnreadable("paths." + path))
		}
	}
	return s, nil
}

// encode writes the text again.
func (s *swagger) encode() (json.RawMessage, error) {
	s.doc.set("paths", s.paths)
	return jsonvalue.Encode(s.doc)
}

func (s *swagger) basePath() string { return s.doc.text("basePath") }

// title is the API's name.
func (s *swagger) title() string {
	info, err := parseObject(s.doc["info"])
	if err != nil {
		return ""
	}
	return info.text("title")
}

// operation is one verb of one path.
type operation struct {
	path, verb string
	doc        object
}

func (o *operation) id() string { return o.doc.text("operationId") }

// backend is what x-openwhisk says of the action behind it.
func (o *operation) backend() string {
	x, err := parseObject(o.doc["x-openwhisk"])
	if err != nil {
		return ""
	}
	return x.text("url")
}

// isVerb tells a verb from the other members of a path.
func isVerb(member string) bool {
	return member != "parameters" && !strings.HasPrefix(member, "x-")
}

// operations answers the operations by path and verb. Errors are refusals.
func (s *swagger) operations() ([]operation, error) {
	var out []operation
	for _, path := range slices.Sorted(maps.Keys(s.paths)) {
		for _, verb := range slices.Sorted(maps.Keys(s.paths[path])) {
			if !isVerb(verb) {
				continue
			}
			if !slices.Contains(verbs, strings.ToLower(verb)) {
				return nil, refusal(msgVerb(verb))
			}
			doc, err := parseObject(s.paths[path][verb])
			if err != nil {
				return nil, refusal(msgUnreadable("paths." + path + "." + verb))
			}
			out = append(out, operation{path, verb, doc})
		}
	}
	if len(out) > maxOperations {
		return nil, refusal(msgTooMany("operations", maxOperations))
	}
	return out, nil
}

// parameterNames answers the names of the parameters of a path and of one of
// its operations.
func (s *swagger) parameterNames(o *operation) []string {
	var names []string
	for _, raw := range []json.RawMessage{s.paths[o.path]["parameters"], o.doc["parameters"]} {
		var list []struct{ Name string }
		if json.Unmarshal(raw, &list) == nil {
			for _, p := range list {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// The part of x-ibm-configuration that says where operations lead.
type (
	step struct {
		Invoke      *invokeStep  `json:"invoke,omitempty"`
		SetVariable *setVariable `json:"set-variable,omitempty"`
	}
	invokeStep struct {
		TargetURL string `json:"target-url"`
		Verb      string `json:"verb,omitempty"`
	}
	setVariable struct {
		Actions []setAction `json:"actions"`
	}
	setAction struct {
		Set   string          `json:"set"`
		Value json.RawMessage `json:"value"`
	}
	switchCase struct {
		Operations []string          `json:"operations"`
		Execute    []json.RawMessage `json:"execute"`
	}
	operationSwitch struct {
		Case []switchCase `json:"case"`
	}
)

// configurationName is where the text has its gateway configuration.
func (s *swagger) configurationName() string {
	if _, ok := s.doc["x-gateway-configuration"]; ok {
		return "x-gateway-configuration"
	}
	return "x-ibm-configuration"
}

// assembly is the steps of the gateway configuration, and the way back.
type assembly struct {
	swagger              *swagger
	configuration, steps object
	execute              []object
}

// assembly reads the steps. Errors are refusals.
func (s *swagger) assembly() (*assembly, error) {
	name := s.configurationName()
	unreadable := refusal(msgUnreadable(name))
	a := &assembly{swagger: s}
	var err error
	if a.configuration, err = parseObject(s.doc[name]); err != nil {
		return nil, unreadable
	}
	if a.steps, err = parseObject(a.configuration["assembly"]); err != nil {
		return nil, unreadable
	}
	if raw := a.steps["execute"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.execute); err != nil {
			return nil, unreadable
		}
	}
	return a, nil
}

// cases answers those of the first operation switch and its place; -1 without one.
func (a *assembly) cases() (int, []switchCase, error) {
	for i, step := range a.execute {
		raw, ok := step["operation-switch"]
		if !ok {
			continue
		}
		var s operationSwitch
		if err := json.Unmarshal(raw, &s); err != nil {
			return 0, nil, refusal(msgUnreadable("operation-switch"))
		}
		return i, s.Case, nil
	}
	return -1, nil, nil
}

// setCases puts the cases of the switch at place i, or of a new one, into the text.
func (a *assembly) setCases(i int, cases []switchCase) {
	if i < 0 {
		a.execute = append(a.execute, object{})
		i = len(a.execute) - 1
	}
	a.execute[i].set("operation-switch", operationSwitch{cases})
	a.steps.set("execute", a.execute)
	a.configuration.set("assembly", a.steps)
	a.swagger.doc.set(a.swagger.configurationName(), a.configuration)
}

// backends answers the steps of each operation by id; under "" those of
// operations that have none of their own. Errors are refusals.
func (a *assembly) backends() (map[string][]step, error) {
	out := map[string][]step{}
	_, cases, err := a.cases()
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		steps, err := parseSteps(c.Execute)
		if err != nil {
			return nil, err
		}
		for _, id := range c.Operations {
			out[id] = steps
		}
	}
	for _, o := range a.execute {
		raw, err := jsonvalue.Encode(o)
		if err != nil {
			return nil, err
		}
		steps, err := parseSteps([]json.RawMessage{raw})
		if err != nil {
			return nil, err
		}
		out[""] = append(out[""], steps...)
	}
	return out, nil
}

func parseSteps(raw []json.RawMessage) ([]step, error) {
	steps := make([]step, len(raw))
	for i := range raw {
		if err := json.Unmarshal(raw[i], &steps[i]); err != nil {
			return nil, refusal(msgUnreadable("execute"))
		}
	}
	return steps, nil
}

// check refuses what the original's management refuses, in its order.
func (s *swagger) check() error {
	if strings.ContainsAny(s.basePath(), "{}") {
		return refusal(msgBaseWithParameters(s.basePath()))
	}
	operations, err := s.operations()
	if err != nil {
		return err
	}
	a, err := s.assembly()
	if err != nil {
		return err
	}
	backends, err := a.backends()
	if err != nil {
		return err
	}
	for i := range operations {
		if err := s.checkParameters(&operations[i], backends); err != nil {
			return err
		}
	}
	return nil
}

func (s *swagger) checkParameters(o *operation, backends map[string][]step) error {
	parameters := pathParameters(o.path)
	if len(parameters) == 0 {
		return nil
	}
	if url := o.backend(); url != "" && !strings.HasSuffix(url, ".http") {
		return refusal(msgResponseMustBeHTTP)
	}
	if target := targetOf(stepsOf(backends, o.id())); target != nil && !strings.HasSuffix(target.TargetURL, requestPath) {
		return refusal(msgTargetPath(o.id()))
	}
	known := s.parameterNames(o)
	for _, name := range parameters {
		if !slices.Contains(known, name) {
			return refusal(msgUnknownParameter(name, o.path))
		}
	}
	return nil
}

// requestPath at the end of a backend URL stands for the request's path from
// the base path on.
const requestPath = "$(request.path)"

// pathParameters answers the names in braces of a path.
func pathParameters(path string) []string {
	var names []string
	for {
		_, rest, ok := strings.Cut(path, "{")
		name, rest, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return names
		}
		names = append(names, name)
		path = rest
	}
}

// stepsOf answers the steps of an operation.
func stepsOf(backends map[string][]step, id string) []step {
	if steps, ok := backends[id]; ok && id != "" {
		return append(slices.Clone(backends[""]), steps...)
	}
	return backends[""]
}

// targetOf answers the last invocation among steps, or nil.
func targetOf(steps []step) *invokeStep {
	for _, s := range slices.Backward(steps) {
		if s.Invoke != nil {
			return s.Invoke
		}
	}
	return nil
}

// asRefusal answers the text of an error that is for the client.
func asRefusal(err error) (string, bool) {
	var r refusal
	ok := errors.As(err, &r)
	return string(r), ok
}

// truthy tells whether a member is there as JavaScript sees it.
func (o object) truthy(name string) bool { return whisk.Truthy(o[name]) }
