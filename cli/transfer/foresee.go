package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// same tells whether two documents say the same. The Admin API does not show the keys of
// certificates; who has the same certificate has the same key.
func same(at, there map[string]json.RawMessage) bool {
	plain := func(doc map[string]json.RawMessage) map[string]any {
		out := map[string]any{}
		for name, value := range doc {
			if _, certificate := doc["cert"]; certificate && (name == "key" || name == "keys") {
				continue
			}
			var v any
			if json.Unmarshal(value, &v) == nil {
				out[name] = v
			}
		}
		return out
	}
	return reflect.DeepEqual(plain(at), plain(there))
}

// foresee says what would become of a resource, without writing it.
func (c *adminClient) foresee(ctx context.Context, path string, doc map[string]json.RawMessage, there bool) (Outcome, error) {
	if err := c.checkReferences(ctx, doc); err != nil {
		return Failed, err
	}
	if err := c.validate(ctx, path, doc); err != nil {
		return Failed, err
	}
	switch {
	case !there:
		return Created, nil
	case c.Overwrite:
		return Replaced, nil
	}
	return Conflict, nil
}

// checkReferences refuses what names a resource that neither side has.
func (c *adminClient) checkReferences(ctx context.Context, doc map[string]json.RawMessage) error {
	for member, folder := range map[string]string{
		"upstream_id": "upstreams", "service_id": "services", "plugin_config_id": "plugin_configs", "group_id": "consumer_groups",
	} {
		id := strings.Trim(string(doc[member]), `"`)
		path := folder + "/" + id
		if id == "" || id == "null" || c.source[path] {
			continue
		}
		found, err := c.current(ctx, path)
		switch {
		case err != nil:
			return err
		case found == nil:
			return &refusal{text: fmt.Sprintf("it refers to %s %s, which neither the source nor the destination has", kindName(folder), id)}
		}
	}
	return nil
}

// kindName is the name of one resource of a folder.
func kindName(folder string) string { return strings.TrimSuffix(folder, "s") }

// validate asks the destination whether it would take a resource. One that cannot be
// asked, such as an APISIX before 3.17, says nothing.
func (c *adminClient) validate(ctx context.Context, path string, doc map[string]json.RawMessage) error {
	folder, id, _ := strings.Cut(path, "/")
	item := map[string]json.RawMessage{}
	for name, value := range doc {
		item[name] = value
	}
	if folder != "consumers" || strings.Contains(id, "/") {
		item["id"], _ = json.Marshal(id) // a text has no error
	}
	body, err := json.Marshal(map[string]any{folder: []any{item}})
	if err != nil {
		return err
	}
	status, text, err := c.send(ctx, http.MethodPost, "configs/validate", body)
	if err != nil || status != http.StatusBadRequest {
		return err
	}
	var answer struct {
		Errors []struct {
			Error string `json:"error"`
		} `json:"errors"`
	}
	if json.Unmarshal(text, &answer) != nil || len(answer.Errors) == 0 {
		return refusalOf(status, text)
	}
	return &refusal{status, answer.Errors[0].Error}
}
