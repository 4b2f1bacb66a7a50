package admin

import (
	"errors"
	"fmt"
	"net/http"

	"millrace/resource"
	"millrace/store"
)

// prepare checks the body of a PUT (needID) or POST and answers it with its id.
func (c *collection) prepare(req *call, needID bool) (doc map[string]any, id string, refused *answer) {
	if !req.hasBody || req.body == false {
		return nil, "", fail(http.StatusBadRequest, msgMissingConf)
	}
	doc, refused = c.objectOf(req)
	if refused != nil {
		return nil, "", refused
	}
	id, refused = c.identify(req, doc, needID)
	if refused != nil {
		return nil, "", refused
	}
	if name := forbidden(doc); name != "" {
		return nil, "", fail(http.StatusBadRequest, msgForbiddenProperty+name)
	}
	return doc, id, c.check(req, c.key(req, id), doc)
}

// objectOf answers the body as an object, which an empty array is too.
func (c *collection) objectOf(req *call) (map[string]any, *answer) {
	switch body := req.body.(type) {
	case map[string]any:
		return body, nil
	case []any:
		if len(body) == 0 {
			return map[string]any{}, nil
		}
	}
	if refused := c.check(req, "", req.body); refused != nil {
		return nil, refused
	}
	return nil, fail(http.StatusBadRequest, msgInvalidConf)
}

// identify finds the id of a resource in its path or its document, and puts it
// into the latter.
func (c *collection) identify(req *call, doc map[string]any, need bool) (string, *answer) {
	switch c.Folder {
	case "consumers":
		return resource.TextOf(doc["username"]), nil // the check says what is wrong with it
	case "plugin_metadata":
		if doc["id"] = req.id; req.id == "" {
			return "", fail(http.StatusBadRequest, msgNoPluginName)
		}
		return req.id, nil
	}
	own, has := doc["id"]
	id := req.id
	if id == "" && has && c.Folder != "secrets" {
		id = fmt.Sprint(own)
	}
	full := id
	if c.Folder == "secrets" {
		full = req.owner + "/" + id
	}
	switch {
	case !need && id != "":
		return "", fail(http.StatusBadRequest, idNotNeeded(c.Word))
	case !need:
		return "", nil
	case id == "":
		return "", fail(http.StatusBadRequest, missingID(c.Word))
	case has && fmt.Sprint(own) != full:
		return "", fail(http.StatusBadRequest, wrongID(c.Word))
	case !has:
		doc["id"] = full
	}
	return id, nil
}

// forbidden answers the first property that clients may not set, "" for none.
func forbidden(doc map[string]any) string {
	for _, name := range []string{"create_time", "update_time"} {
		if _, ok := doc[name]; ok {
			return name
		}
		for _, part := range []string{"upstream", "plugins"} {
			inner, _ := doc[part].(map[string]any)
			if _, ok := inner[name]; ok {
				return part + "." + name
			}
		}
	}
	return ""
}

// check answers what is wrong with a document that is to have a store key, nil
// for nothing.
func (c *collection) check(req *call, key string, doc any) *answer {
	err := c.Kind.Check(doc, resource.World{
		Plugins: c.Plugins, Env: c.Env, Keyring: c.Keyring, Key: key, PathID: req.id,
		Refs: func(folder, id string) ([]byte, error) {
			e, err := c.Store.Get(req.ctx, resource.Key(folder, id))
			if errors.Is(err, store.ErrNotFound) {
				return nil, nil
			}
			return e.Value, err
		},
		Holders: func(claim resource.Claim) ([]string, error) { return c.index.holdersOf(req.ctx, claim) },
	})
	if err == nil {
		return nil
	}
	var invalid resource.Invalid
	if errors.As(err, &invalid) {
		return fail(http.StatusBadRequest, invalid.Error())
	}
	refused := c.failed(err)
	return &refused
}
