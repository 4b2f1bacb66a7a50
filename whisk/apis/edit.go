package apis

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/jsonvalue"
)

// endpoint is what createApi adds to an API: a path and verb with the action
// behind it.
type endpoint struct {
	basePath, path, verb string
	title                string // of a new API
	namespace            string // of the action
	pkg, action          string // pkg is empty for the default package
	host                 string // scheme://host of the backend
	responseType         string
	secret               string // for X-Require-Whisk-Auth; empty: none
	parameters           json.RawMessage
}

// newSwagger is an API without paths.
func newSwagger(basePath, title string) *swagger {
	if title == "" {
		title = basePath
	}
	s := &swagger{doc: object{}, paths: map[string]object{}}
	s.doc.set("swagger", "2.0")
	s.doc.set("basePath", basePath)
	s.doc.set("info", struct {
		Title   string `json:"title"`
		Version string `json:"version"`
	}{title, "1.0.0"})
	s.doc["x-ibm-configuration"] = json.RawMessage(`{"assembly":{},"cors":{"enabled":true}}`)
	return s
}

// url is the web action's; as a target it ends with what stands for the
// request's path if the path has parameters.
func (e *endpoint) url(target bool) string {
	pkg := e.pkg
	if pkg == "" {
		pkg = "default"
	}
	u := e.host + "/api/v1/web/" + url.PathEscape(e.namespace) + "/" + url.PathEscape(pkg) + "/" + url.PathEscape(e.action) + "." + e.responseType
	if target && e.responseType == "http" && len(pathParameters(e.path)) > 0 {
		u += requestPath
	}
	return u
}

// add puts an endpoint into the text, or in place of the one with the same path
// and verb. Errors are refusals.
func (s *swagger) add(e *endpoint) error {
	a, err := s.assembly()
	if err != nil {
		return err
	}
	at, cases, err := a.cases()
	if err != nil {
		return err
	}
	if s.paths[e.path] == nil {
		s.paths[e.path] = object{}
	}
	if cases, err = s.drop(cases, e.path, e.verb); err != nil {
		return err
	}
	id, err := s.newOperationID(e.path, e.verb)
	if err != nil {
		return err
	}
	s.paths[e.path].set(e.verb, e.operation(id))
	a.setCases(at, append(cases, e.switchCase(id)))
	return nil
}

// operation is what stands under the verb of the path.
func (e *endpoint) operation(id string) any {
	type xOpenWhisk struct {
		Action    string `json:"action"`
		Namespace string `json:"namespace"`
		Package   string `json:"package"`
		URL       string `json:"url"`
	}
	return struct {
		ID         string          `json:"operationId"`
		Parameters json.RawMessage `json:"parameters,omitempty"`
		XOpenWhisk xOpenWhisk      `json:"x-openwhisk"`
		Responses  json.RawMessage `json:"responses"`
	}{
		id, e.parameters,
		xOpenWhisk{e.action, e.namespace, e.pkg, e.url(false)},
		json.RawMessage(`{"default":{"description":"Default response"}}`),
	}
}

func (e *endpoint) switchCase(id string) switchCase {
	var execute []json.RawMessage
	add := func(s step) {
		raw, err := jsonvalue.Encode(s)
		if err != nil {
			panic(err) // it is made of texts
		}
		execute = append(execute, raw)
	}
	add(step{Invoke: &invokeStep{TargetURL: e.url(true), Verb: "keep"}})
	if e.secret != "" {
		value, _ := jsonvalue.Encode(e.secret)
		add(step{SetVariable: &setVariable{[]setAction{{setHeader + "X-Require-Whisk-Auth", value}}}})
	}
	return switchCase{[]string{id}, execute}
}

// newOperationID makes the id of an operation. Paths that differ only in what
// ids leave out get a number behind it.
func (s *swagger) newOperationID(path, verb string) (string, error) {
	operations, err := s.operations()
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for i := range operations {
		taken[operations[i].id()] = true
	}
	id := operationID(path, verb)
	for n, plain := 2, id; taken[id]; n++ {
		id = plain + "_" + strconv.Itoa(n)
	}
	return id, nil
}

// operationID makes getFooId of get and /foo/{id}.
func operationID(path, verb string) string {
	words := strings.FieldsFunc(path, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
	})
	id := strings.ToLower(verb)
	for _, w := range words {
		id += strings.ToUpper(w[:1]) + strings.ToLower(w[1:])
	}
	return id
}

// drop takes a verb, in whatever case, out of a path, and answers cases without
// those of its operation. Errors are refusals.
func (s *swagger) drop(cases []switchCase, path, verb string) ([]switchCase, error) {
	p := s.paths[path]
	for member, raw := range p {
		if !strings.EqualFold(member, verb) {
			continue
		}
		doc, err := parseObject(raw)
		if err != nil {
			return nil, refusal(msgUnreadable("paths." + path + "." + verb))
		}
		cases = withoutOperation(cases, doc.text("operationId"))
		delete(p, member)
	}
	return cases, nil
}

func withoutOperation(cases []switchCase, id string) []switchCase {
	kept := make([]switchCase, 0, len(cases)+1)
	for _, c := range cases {
		c.Operations = slices.DeleteFunc(slices.Clone(c.Operations), func(o string) bool { return o == id })
		if len(c.Operations) > 0 {
			kept = append(kept, c)
		}
	}
	return kept
}

// remove takes a path out of the text, or one verb of it. It answers false if
// nothing of the API is left. Errors are refusals.
func (s *swagger) remove(path, verb string) (left bool, err error) {
	p, ok := s.paths[path]
	if !ok {
		return true, refusal(msgNoPath(path))
	}
	var gone []string
	for member := range p {
		if isVerb(member) && (verb == "" || strings.EqualFold(member, verb)) {
			gone = append(gone, member)
		}
	}
	if verb != "" && len(gone) == 0 {
		return true, refusal(msgNoOperation(path, verb))
	}
	a, err := s.assembly()
	if err != nil {
		return true, err
	}
	at, cases, err := a.cases()
	if err != nil {
		return true, err
	}
	for _, member := range gone {
		if cases, err = s.drop(cases, path, member); err != nil {
			return true, err
		}
	}
	if at >= 0 {
		a.setCases(at, cases)
	}
	if !hasVerb(p) {
		delete(s.paths, path)
	}
	return len(s.paths) > 0, nil
}

func hasVerb(path object) bool {
	for member := range path {
		if isVerb(member) {
			return true
		}
	}
	return false
}
