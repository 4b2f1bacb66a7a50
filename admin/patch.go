package admin

import (
	"net/http"
	"strings"

	"millrace/resource"
)

// patch changes parts of a resource: by merging the body into it or, with a
// sub-path, by putting the body in the place that it addresses.
func (c *collection) patch(req *call) answer {
	switch _, isObject := req.body.(map[string]any); {
	case req.id == "" && c.Folder == "secrets":
		return *fail(http.StatusBadRequest, msgNoSecretID)
	case req.id == "":
		return *fail(http.StatusBadRequest, missingID(c.Word))
	case !req.hasBody:
		return *fail(http.StatusBadRequest, msgMissingNewConf)
	case req.sub == "" && !isObject:
		return *fail(http.StatusBadRequest, msgInvalidConf)
	}
	old, err := c.Store.Get(req.ctx, c.key(req, req.id))
	if err != nil {
		return c.failed(err)
	}
	doc := object(old.Value)
	if doc == nil {
		return keyNotFound()
	}
	resource.Decrypt(doc, c.Keyring)
	if refused := c.change(req, doc); refused != nil {
		return *refused
	}
	if _, refused := c.identify(req, doc, true); refused != nil {
		return *refused
	}
	if refused := c.check(req, old.Key, doc); refused != nil {
		return *refused
	}
	answer, err := c.write(req, old.Key, doc, writing{http.StatusOK, "compareAndSwap", old.ModRevision})
	if err != nil {
		return c.failed(err)
	}
	return answer
}

// change applies the body of a PATCH to doc and renews its times.
func (c *collection) change(req *call, doc map[string]any) *answer {
	now := c.timestamp()
	if req.sub != "" {
		if !setAt(doc, strings.Split(req.sub, "/"), req.body) {
			return fail(http.StatusBadRequest, msgInvalidSubPath+req.sub)
		}
		doc["update_time"] = now
	} else {
		body, _ := req.body.(map[string]any)
		merge(doc, body)
		if body["update_time"] == nil {
			doc["update_time"] = now
		}
	}
	if doc["create_time"] == nil {
		doc["create_time"] = now
	}
	return nil
}

// merge merges patch into doc: objects into objects, anything else replaces, and
// null deletes.
func merge(doc, patch map[string]any) {
	for name, value := range patch {
		if value == nil {
			delete(doc, name)
			continue
		}
		inner, ok := value.(map[string]any)
		if !ok {
			doc[name] = value
			continue
		}
		into, ok := doc[name].(map[string]any)
		if !ok {
			into = map[string]any{}
			doc[name] = into
		}
		merge(into, inner)
	}
}

// setAt puts value at a path below doc, making objects where there is nothing;
// null deletes. It answers false if the path leads through something that is no
// object.
func setAt(doc map[string]any, path []string, value any) bool {
	for _, name := range path[:len(path)-1] {
		switch inner := doc[name].(type) {
		case nil:
			made := map[string]any{}
			doc[name] = made
			doc = made
		case map[string]any:
			doc = inner
		case []any:
			if len(inner) > 0 {
				return false
			}
			made := map[string]any{} // an empty array is an empty object
			doc[name] = made
			doc = made
		default:
			return false
		}
	}
	last := path[len(path)-1]
	if value == nil {
		delete(doc, last)
	} else {
		doc[last] = value
	}
	return true
}
