package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"millrace/internal/jsonvalue"
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
	// noPOST: ids are chosen by the client alone. noPATCH: only whole resources are
	// written.
	noPOST, noPATCH bool
	// filters are the fields that ?filter= of a list may compare.
	filters []string
	// users are who may hold a reference that keeps a resource from being deleted.
	users []userWord
	// claims: there is something that only one of them may have.
	claims bool
	// hidden are fields that clients can write and never read.
	hidden []string
}

// userWord is a kind of resource and its name in the message of a guard.
type userWord struct{ folder, word string }

var (
	// The kinds whose plugins may mention an upstream or a proto.
	pluginUsers = []userWord{
		{"routes", "route"}, {"services", "service"}, {"plugin_configs", "plugin_config"}, {"consumers", "consumer"},
		{"consumer_groups", "consumer_group"}, {"global_rules", "global_rules"}, {"stream_routes", "stream_route"},
	}
	byUpstreamAndService = []string{"service_id", "upstream_id"}

	kindTraits = map[string]traits{
		"routes":          {filters: byUpstreamAndService},
		"services":        {users: []userWord{{"routes", "route"}, {"stream_routes", "stream_route"}}},
		"upstreams":       {users: pluginUsers},
		"consumers":       {noPOST: true, noPATCH: true, claims: true},
		"credentials":     {noPOST: true, noPATCH: true, claims: true},
		"consumer_groups": {noPOST: true, users: []userWord{{"consumers", "consumer"}}},
		"ssls":            {hidden: []string{"key", "keys"}},
		"global_rules":    {noPOST: true, claims: true},
		"plugin_configs":  {noPOST: true, users: []userWord{{"routes", "route"}}},
		"plugin_metadata": {noPOST: true, noPATCH: true},
		"stream_routes":   {noPATCH: true, filters: byUpstreamAndService, users: []userWord{{"stream_routes", "stream route"}}},
		"protos":          {noPATCH: true, users: pluginUsers},
		"secrets":         {noPOST: true},
	}
)

func newCollection(a *api, k *resource.Kind) *collection {
	return &collection{a, k, kindTraits[k.Folder]}
}

// handler finds what serves a method, nil if nothing does.
func (c *collection) handler(method string) func(*call) answer {
	switch {
	case method == http.MethodPost && c.noPOST, method == http.MethodPatch && c.noPATCH:
		return func(*call) answer {
			return *fail(http.StatusMethodNotAllowed, unsupportedMethod(method, c.Word))
		}
	case method == http.MethodGet:
		return c.get
	case method == http.MethodPut:
		return c.claiming(c.put)
	case method == http.MethodPost:
		return c.post
	case method == http.MethodPatch:
		return c.claiming(c.patch)
	case method == http.MethodDelete:
		return c.delete
	}
	return nil
}

// claiming makes writes of what only one resource may have come one after the
// other, so that two of them cannot both find it free.
func (c *collection) claiming(h func(*call) answer) func(*call) answer {
	if !c.claims {
		return h
	}
	return func(req *call) answer {
		c.claimed.Lock()
		defer c.claimed.Unlock()
		return h(req)
	}
}

// key is the store key of the resource with an id, as the path of a request has
// it; the resources of a consumer or a secret manager have it as their owner.
func (c *collection) key(req *call, id string) string {
	switch {
	case c.Folder == "credentials":
		return resource.Prefix + "consumers/" + req.owner + "/credentials/" + id
	case req.owner != "":
		return resource.Prefix + c.Folder + "/" + req.owner + "/" + id
	}
	return resource.Prefix + c.Folder + "/" + id
}

func (c *collection) get(req *call) answer {
	if req.id == "" {
		return c.list(req)
	}
	e, err := c.Store.Get(req.ctx, c.key(req, req.id))
	if err != nil {
		return c.failed(err)
	}
	value, err := c.shown(e)
	if err != nil {
		return c.failed(err)
	}
	if c.version() == "v2" {
		return answer{status: http.StatusOK, body: actionNode{"get", node{Key: e.Key, Value: value}}}
	}
	return answer{status: http.StatusOK, body: indexedNode(e, value)}
}

// shown is the form in which clients read a stored resource: in the clear, save
// for what is hidden.
func (c *collection) shown(e store.Entry) (json.RawMessage, error) {
	value, err := resource.DecryptJSON(e.Value, c.Keyring)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	return c.withoutHidden(value)
}

// withoutHidden takes away what clients may not read.
func (c *collection) withoutHidden(value json.RawMessage) (json.RawMessage, error) {
	if !json.Valid(value) {
		return nil, errors.New("not valid JSON")
	}
	if c.hidden == nil {
		return value, nil
	}
	doc := object(value)
	for _, name := range c.hidden {
		delete(doc, name)
	}
	return jsonvalue.Encode(doc)
}

func (c *collection) put(req *call) answer {
	doc, id, refused := c.prepare(req, true)
	if refused != nil {
		return *refused
	}
	if refused := c.checkOwner(req); refused != nil {
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

// checkOwner refuses credentials of nobody.
func (c *collection) checkOwner(req *call) *answer {
	if c.Folder != "credentials" {
		return nil
	}
	_, err := c.Store.Get(req.ctx, resource.Key("consumers", req.owner))
	if errors.Is(err, store.ErrNotFound) {
		return fail(http.StatusNotFound, msgNoConsumer)
	}
	if err != nil {
		refused := c.failed(err)
		return &refused
	}
	return nil
}

// replace writes doc if the resource is still as it is read here.
func (c *collection) replace(req *call, id string, doc map[string]any) (answer, error) {
	status, expect := http.StatusCreated, store.Absent
	now := c.timestamp()
	created := now
	switch old, err := c.Store.Get(req.ctx, c.key(req, id)); {
	case err == nil:
		status, expect = http.StatusOK, old.ModRevision
		if before := createTime(old.Value); before != "" {
			created = before
		}
	case !errors.Is(err, store.ErrNotFound):
		return answer{}, err
	}
	if !c.Untimed {
		doc["create_time"], doc["update_time"] = created, now
	}
	return c.write(req, c.key(req, id), doc, writing{status, "set", expect})
}

func (c *collection) post(req *call) answer {
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
	answer, err := c.write(req, c.key(req, id), doc, writing{http.StatusCreated, "create", store.Absent})
	if err != nil {
		return c.failed(err)
	}
	return answer
}

func (c *collection) delete(req *call) answer {
	if req.id == "" {
		return *fail(http.StatusBadRequest, missingID(c.Word))
	}
	key := c.key(req, req.id)
	if req.args.Get("force") != "true" {
		if refused := c.checkUsers(req, key); refused != nil {
			return *refused
		}
	}
	if c.Folder == "consumers" {
		if err := c.deleteCredentials(req, key); err != nil {
			return c.failed(err)
		}
	}
	revision, err := c.Store.Delete(req.ctx, key, store.Any)
	if err != nil {
		return c.failed(err)
	}
	c.wrote(req, revision)
	return c.deleted(key)
}

// deleteCredentials deletes the credentials of a consumer, before the consumer:
// without it they prove nothing.
func (c *collection) deleteCredentials(req *call, consumer string) error {
	entries, _, err := c.Store.List(req.ctx, consumer+"/credentials/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		revision, err := c.Store.Delete(req.ctx, e.Key, store.Any)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		c.wrote(req, revision)
	}
	return nil
}

// checkUsers refuses to delete what another resource refers to.
func (c *collection) checkUsers(req *call, key string) *answer {
	if c.users == nil {
		return nil
	}
	u, err := c.index.firstUser(req.ctx, c.Folder, req.id, key, c.users)
	if err != nil {
		refused := c.failed(err)
		return &refused
	}
	if u == nil {
		return nil
	}
	return fail(http.StatusBadRequest, stillUsed(c.Word, u))
}

// writing is how a document is written, and what the answer says of it.
type writing struct {
	status int
	action string // in the answers of v2
	expect int64  // as store.PutOptions.If
}

// write stores a checked document and answers it as it is stored.
func (c *collection) write(req *call, key string, doc map[string]any, how writing) (answer, error) {
	stored := jsonvalue.Clone(doc).(map[string]any) // a conflict makes the caller try doc again
	resource.Encrypt(stored, c.Keyring)
	value, err := jsonvalue.Encode(stored)
	if err != nil {
		return answer{}, fmt.Errorf("encoding %s: %w", key, err)
	}
	e, err := c.Store.Put(req.ctx, key, bytes.Clone(value), store.PutOptions{If: how.expect, TTL: req.ttl})
	if err != nil {
		return answer{}, err
	}
	c.wrote(req, e.ModRevision)
	if c.Keyring == nil { // else they are not in the clear
		if value, err = c.withoutHidden(value); err != nil {
			return answer{}, fmt.Errorf("encoding %s: %w", key, err)
		}
	}
	return c.written(key, value, how), nil
}

// wrote notes a write of a request: its answer waits for it to be served.
func (c *collection) wrote(req *call, revision int64) {
	req.revision = max(req.revision, revision)
	c.index.wrote(revision)
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
	return *storeFailed(err)
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
	doc, err := jsonvalue.Decode(value)
	if err != nil {
		return nil
	}
	o, _ := doc.(map[string]any)
	return o
}
