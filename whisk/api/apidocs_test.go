package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"millrace/internal/jsonschema"
)

// docs is the description, its references followed.
var docs = sync.OnceValues(func() (map[string]map[string]operation, error) {
	var d struct {
		BasePath    string                          `json:"basePath"`
		Paths       map[string]map[string]operation `json:"paths"`
		Definitions map[string]any                  `json:"definitions"`
	}
	if err := json.Unmarshal(apiDocs, &d); err != nil {
		return nil, err
	}
	for _, operations := range d.Paths {
		for _, op := range operations {
			for status, r := range op.Responses {
				r.Schema = inline(r.Schema, d.Definitions)
				op.Responses[status] = r
			}
		}
	}
	return d.Paths, nil
})

type operation struct {
	Summary   string                `json:"summary"`
	Responses map[string]documented `json:"responses"`
}

type documented struct {
	Schema any `json:"schema"`
}

// inline puts definitions in the place of references to them.
func inline(v any, definitions map[string]any) any {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["$ref"].(string); ok {
			return inline(definitions[strings.TrimPrefix(name, "#/definitions/")], definitions)
		}
		out := map[string]any{}
		for k, member := range v {
			out[k] = inline(member, definitions)
		}
		if items, ok := v["x-items"].([]any); ok {
			return listSchema(items, definitions)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = inline(v[i], definitions)
		}
		return out
	}
	return v
}

// listSchema is the schema of a list, whose items are all of one sort, or of its
// length.
func listSchema(names []any, definitions map[string]any) any {
	sorts := []any{map[string]any{"type": "object", "minProperties": 1, "additionalProperties": map[string]any{"type": "integer"}}}
	for _, name := range names {
		sorts = append(sorts, map[string]any{"type": "array", "items": inline(map[string]any{"$ref": name}, definitions)})
	}
	return map[string]any{"anyOf": sorts}
}

// describedBy finds the path of the description that a request's path is of.
func describedBy(paths map[string]map[string]operation, path string) (found string) {
	given := strings.Split(path, "/")
	for p := range paths {
		parts := strings.Split(p, "/")
		if len(parts) != len(given) {
			continue
		}
		fits, literal := true, true
		for i, part := range parts {
			variable := strings.HasPrefix(part, "{")
			fits = fits && (variable && given[i] != "" || part == given[i])
			literal = literal && (!variable || i < 3)
		}
		if fits && (found == "" || literal) {
			found = p
		}
	}
	return found
}

// checkDocumented holds an answer against the description.
func checkDocumented(t testing.TB, method, rawPath string, r reply) {
	t.Helper()
	paths, err := docs()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(rawPath)
	if err != nil {
		return
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/api/v1/")
	if !ok || strings.HasPrefix(rest, "web/") || method == http.MethodOptions || method == http.MethodHead {
		return
	}
	path := describedBy(paths, "/"+rest)
	op, ok := paths[path][strings.ToLower(method)]
	if !ok {
		return // there is no such endpoint, which other tests look at
	}
	expected, ok := op.Responses[strconv.Itoa(r.status)]
	if !ok {
		expected = op.Responses["default"]
	}
	if any, ok := expected.Schema.(map[string]any); !ok || len(any) == 0 || strings.HasPrefix(r.header.Get("Content-Type"), "text/") {
		return
	}
	text, err := json.Marshal(expected.Schema)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.Compile(string(text))
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	var v any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Errorf("%s %s: %v: %s", method, path, err, r.body)
	} else if err := schema.Validate(v); err != nil {
		t.Errorf("%s %s: the answer is not as described: %v: %s", method, path, err, r.body)
	}
}

// Everything described must exist.
func TestDocsDescribeWhatIsServed(t *testing.T) {
	s := newSystem(t, nil)
	paths, err := docs()
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{namespace}", "_", "{id}", strings.Repeat("0", 32), "{", "no", "}", "")
	for path, operations := range paths {
		for method, op := range operations {
			if op.Summary == "" {
				t.Errorf("%s %s has no summary", method, path)
			}
			r := s.send(strings.ToUpper(method), "/api/v1"+fill.Replace(path), "{}")
			if strings.Contains(r.body, "could not be found") {
				t.Errorf("%s %s is described, but not served", method, path)
			}
		}
	}
	r := s.send("GET", "/api/v1/api-docs", "", "Authorization", "")
	if r.status != 200 || r.body != string(apiDocs) {
		t.Errorf("GET /api/v1/api-docs: %d", r.status)
	}
}

// People find every operation on a page of its own.
func TestDocsPage(t *testing.T) {
	s := newSystem(t, nil)
	r := s.send("GET", "/api/v1/docs", "", "Authorization", "")
	if r.status != 308 || r.header.Get("Location") != "/api/v1/docs/index.html?url=/api/v1/api-docs" {
		t.Errorf("GET /api/v1/docs: %d %v", r.status, r.header)
	}
	r = s.send("GET", r.header.Get("Location"), "", "Authorization", "")
	if r.status != 200 || r.header.Get("Content-Type") != "text/html; charset=UTF-8" {
		t.Errorf("the page: %d %v", r.status, r.header)
	}
	paths, err := docs()
	if err != nil {
		t.Fatal(err)
	}
	for path, operations := range paths {
		for method := range operations {
			if row := "<code>" + strings.ToUpper(method) + " " + path + "</code>"; !strings.Contains(r.body, row) {
				t.Errorf("the page lacks %s", row)
			}
		}
	}
	if r := s.send("POST", "/api/v1/docs", "", "Authorization", ""); r.status != 404 {
		t.Errorf("POST /api/v1/docs: %d", r.status)
	}
}
