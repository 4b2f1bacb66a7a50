package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"millrace/resource"
	"millrace/store"
)

// collection serves one kind of resource.
type collection struct {
	*api
	*resource.Kind
	traits
}

// traits are where a kind differs from most.
type traits struct {
	// noPOST: ids are chosen by the client alone.
	noPOST bool
	// filters are the fields that ?filter= of a list may compare.
	filters []string
	// users are who may hold a reference that keeps a resource from being deleted.
	users []user
}

// user is a field of another kind of resource that holds ids of this one.
type user struct{ folder, word, field string }

var kindTraits = map[string]traits{
	"routes":   {filters: []string{"service_id", "upstream_id"}},
	"services": {users: []user{{"routes", "route", "service_id"}}},
	"upstreams": {users: []user{
		{"routes", "route", "upstream_id"}, {"services", "service", "upstream_id"},
	}},
	"plugin_configs": {noPOST: true, users: []user{{"routes", "route", "plugin_config_id"}}},
}

func newCollection(a *api, k *resource.Kind) *collection {
	return &collection{a, k, kindTraits[k.Folder]}
}

func (c *collection) handler(method string) func(*call) answer {
	switch method {
	case http.MethodGet:
		return c.get
	case http.MethodPut:
		return c.put
	case http.MethodPost:
		return c.post
	case http.MethodPatch:
		return c.patch
	case http.MethodDelete:
		return c.delete
	}
	return nil
}

// key is the store key of a resource.
func (c *collection) key(id string) string { return resource.Prefix + c.Folder + "/" + id }

func (c *collection) get(req *call) answer {
	if req.id == "" {
		return c.list(req)
	}
	e, err := c.Store.Get(req.ctx, c.key(req.id))
	if err != nil {
		return c.failed(err)
	}
	return c.shown(e)
}

// shown is the answer with one stored resource.
func (c *collection) shown(e store.Entry) answer {
	value, err := resource.DecryptJSON(e.Value, c.Keyring)
	if err != nil {
		return c.failed(fmt.Errorf("reading %s: %w", e.Key, err))
	}
	if c.version() == "v2" {
		return answer{status: http.StatusOK, body: actionNode{"get", node{Key: e.Key, Value: value}}}
	}
	return answer{status: http.StatusOK, body: indexedNode(e, value)}
}

func (c *collection) put(req *call) answer {
	doc, id, refused := c.prepare(req, true)
	if refused != nil {
		return *refused
	}
	// Another client may write between our reading and writing. Each time that
	// happens someone else got on, so trying again ends.
	for {
		answer, err := c.replace(req, id, doc)
		if errors.Is(err, store.ErrConflict) && req.ctx.Err() == nil {
			continue
		}
		if err != nil {
			return c.failed(err)
		}
		return answer
	}
}

// replace writes doc if the resource is still as it is read here.
func (c *collection) replace(req *call, id string, doc map[string]any) (answer, error) {
	status, expect := http.StatusCreated, store.Absent
	now := c.timestamp()
	doc["create_time"], doc["update_time"] = now, now
	switch old, err := c.Store.Get(req.ctx, c.key(id)); {
	case err == nil:
		status, expect = http.StatusOK, old.ModRevision
		if created := createTime(old.Value); created != "" {
			doc["create_time"] = created
		}
	case !errors.Is(err, store.ErrNotFound):
		return answer{}, err
	}
	return c.write(req, c.key(id), doc, writing{status, "set", expect})
}

func (c *collection) post(req *call) answer {
	if c.noPOST {
		return *fail(http.StatusMethodNotAllowed, unsupportedMethod(req.method, c.Word))
	}
	doc, _, refused := c.prepare(req, false)
	if refused != nil {
		return *refused
	}
	// The id is a revision of the store that nothing else has.
	taken, err := c.Store.Put(req.ctx, resource.Prefix+"gen_id", []byte("1"), store.PutOptions{})
	if err != nil {
		return c.failed(err)
	}
	id := fmt.Sprintf("%020d", taken.ModRevision)
	now := c.timestamp()
	doc["id"], doc["create_time"], doc["update_time"] = id, now, now
	answer, err := c.write(req, c.key(id), doc, writing{http.StatusCreated, "create", store.Absent})
	if err != nil {
		return c.failed(err)
	}
	return answer
}

func (c *collection) delete(req *call) answer {
	if req.id == "" {
		return *fail(http.StatusBadRequest, missingID(c.Word))
	}
	if req.args.Get("force") != "true" {
		if refused := c.checkUsers(req); refused != nil {
			return *refused
		}
	}
	revision, err := c.Store.Delete(req.ctx, c.key(req.id), store.Any)
	if err != nil {
		return c.failed(err)
	}
	c.applied(req.ctx, revision)
	return c.deleted(c.key(req.id))
}

// checkUsers refuses to delete what another resource refers to.
func (c *collection) checkUsers(req *call) *answer {
	for _, u := range c.users {
		entries, _, err := c.Store.List(req.ctx, resource.Prefix+u.folder+"/")
		if err != nil {
			refused := c.failed(err)
			return &refused
		}
		for _, e := range entries {
			if doc := object(e.Value); doc[u.field] != nil && fmt.Sprint(doc[u.field]) == req.id {
				word := c.Word
				if word == "service" {
					word = "service directly"
				}
				return fail(http.StatusBadRequest, stillUsed(word, u.word, fmt.Sprint(doc["id"])))
			}
		}
	}
	return nil
}

// prepare checks the body of a PUT (needID) or POST and answers it with its id.
func (c *collection) prepare(req *call, needID bool) (doc map[string]any, id string, refused *answer) {
	if !req.hasBody || req.body == false {
		return nil, "", fail(http.StatusBadRequest, msgMissingConf)
	}
	doc, refused = c.objectOf(req)
	if refused != nil {
		return nil, "", refused
	}
	id, refused = c.identify(req.id, doc, needID)
	if refused != nil {
		return nil, "", refused
	}
	if name := forbidden(doc); name != "" {
		return nil, "", fail(http.StatusBadRequest, msgForbiddenProperty+name)
	}
	return doc, id, c.check(req.ctx, doc)
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
	return nil, c.check(req.ctx, req.body)
}

// identify finds the id of a resource in its path or its document, and puts it
// into the latter.
func (c *collection) identify(pathID string, doc map[string]any, need bool) (string, *answer) {
	own, has := doc["id"]
	id := pathID
	if id == "" && has {
		id = fmt.Sprint(own)
	}
	switch {
	case !need && id != "":
		return "", fail(http.StatusBadRequest, idNotNeeded(c.Word))
	case !need:
		return "", nil
	case id == "":
		return "", fail(http.StatusBadRequest, missingID(c.Word))
	case has && fmt.Sprint(own) != id:
		return "", fail(http.StatusBadRequest, wrongID(c.Word))
	case !has:
		doc["id"] = id
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

// check answers what is wrong with a document, nil for nothing.
func (c *collection) check(ctx context.Context, doc any) *answer {
	refs := func(folder, id string) ([]byte, error) {
		e, err := c.Store.Get(ctx, resource.Prefix+folder+"/"+id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		return e.Value, err
	}
	err := c.Kind.Check(doc, resource.World{Refs: refs, Plugins: c.Plugins})
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

// writing is how a document is written, and what the answer says of it.
type writing struct {
	status int
	action string // in the answers of v2
	expect int64  // as store.PutOptions.If
}

// write stores a checked document and answers it as it is stored.
func (c *collection) write(req *call, key string, doc map[string]any, how writing) (answer, error) {
	stored := clone(doc).(map[string]any) // a conflict makes the caller try doc again
	resource.Encrypt(stored, c.Keyring)
	value, err := encode(stored)
	if err != nil {
		return answer{}, fmt.Errorf("encoding %s: %w", key, err)
	}
	e, err := c.Store.Put(req.ctx, key, bytes.Clone(value), store.PutOptions{If: how.expect, TTL: req.ttl})
	if err != nil {
		return answer{}, err
	}
	c.applied(req.ctx, e.ModRevision)
	return c.written(key, value, how), nil
}

// failed turns an error of the store into an answer.
func (c *collection) failed(err error) answer {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return keyNotFound()
	case errors.Is(err, store.ErrConflict):
		return *fail(http.StatusServiceUnavailable, msgValueChanged)
	}
	c.Log.Error("serving the Admin API", "kind", c.Word, "error", err)
	return *fail(http.StatusServiceUnavailable, msgStore)
}

func (c *collection) timestamp() json.Number {
	return json.Number(fmt.Sprint(c.now().Unix()))
}

// createTime answers the create_time of a stored resource, "" if it has none.
func createTime(value []byte) json.Number {
	n, _ := object(value)["create_time"].(json.Number)
	return n
}

// object decodes a stored resource, nil if it is none.
func object(value []byte) map[string]any {
	doc, err := decode(value)
	if err != nil {
		return nil
	}
	o, _ := doc.(map[string]any)
	return o
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// clone copies a decoded JSON value.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = clone(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = clone(item)
		}
		return out
	}
	return v
}
