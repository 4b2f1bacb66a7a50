package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"millrace/internal/jsonvalue"
	"millrace/store"
	"millrace/whisk"
)

const prefix = "/whisk/entities/"

// entityType says what a value in the store is.
type entityType string

const (
	actionType  entityType = "action"
	packageType entityType = "package"
	triggerType entityType = "trigger"
	ruleType    entityType = "rule"
)

// path is where an entity is within its namespace; pkg is empty outside packages.
type path struct{ pkg, name string }

func (p path) key(ns string) string {
	if p.pkg == "" {
		return prefix + ns + "/" + p.name
	}
	return prefix + ns + "/" + p.pkg + "/" + p.name
}

// parseKey is the reverse of path.key.
func parseKey(key string) (ns string, p path, err error) {
	switch parts := strings.Split(strings.TrimPrefix(key, prefix), "/"); len(parts) {
	case 2:
		return parts[0], path{"", parts[1]}, nil
	case 3:
		return parts[0], path{parts[1], parts[2]}, nil
	}
	return "", path{}, fmt.Errorf("unknown key %s", key)
}

type envelope struct {
	Type   entityType      `json:"type"`
	Entity json.RawMessage `json:"entity"`
}

// encode leaves <, > and & as they are: what a client gave comes back as it was.
func encode(t entityType, v any) ([]byte, error) {
	return jsonvalue.Encode(struct {
		Type   entityType `json:"type"`
		Entity any        `json:"entity"`
	}{t, v})
}

func decode(e store.Entry) (ns string, _ *entry, err error) {
	ns, p, err := parseKey(e.Key)
	if err != nil {
		return "", nil, err
	}
	var env envelope
	if err := json.Unmarshal(e.Value, &env); err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	v, err := decodeEntity(env, ns, p, e.ModRevision)
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	return ns, entryOf(v), nil
}

// decodeEntity reads what is at a path. Where it is, the key says.
func decodeEntity(env envelope, ns string, p path, revision int64) (any, error) {
	if p.pkg != "" && env.Type != actionType {
		return nil, fmt.Errorf("a %s cannot be in a package", env.Type)
	}
	switch env.Type {
	case actionType:
		a := new(whisk.Action)
		err := json.Unmarshal(env.Entity, a)
		a.Namespace, a.Package, a.Name, a.Revision = ns, p.pkg, p.name, revision
		return a, err
	case packageType:
		k := new(whisk.Package)
		err := json.Unmarshal(env.Entity, k)
		k.Namespace, k.Name, k.Revision = ns, p.name, revision
		return k, err
	case triggerType:
		t := new(whisk.Trigger)
		err := json.Unmarshal(env.Entity, t)
		t.Namespace, t.Name, t.Revision = ns, p.name, revision
		return t, err
	case ruleType:
		r := new(whisk.Rule)
		err := json.Unmarshal(env.Entity, r)
		r.Namespace, r.Name, r.Revision = ns, p.name, revision
		return r, err
	}
	return nil, fmt.Errorf("unknown type %q", env.Type)
}

// entryOf makes the entry of an entity.
func entryOf(v any) *entry {
	switch v := v.(type) {
	case *whisk.Package:
		return &entry{path: path{"", v.Name}, typ: packageType, updated: v.Updated, revision: v.Revision, value: v}
	case *whisk.Trigger:
		return &entry{path: path{"", v.Name}, typ: triggerType, updated: v.Updated, revision: v.Revision, value: v}
	case *whisk.Rule:
		return &entry{path: path{"", v.Name}, typ: ruleType, updated: v.Updated, revision: v.Revision, value: v}
	}
	a := v.(*whisk.Action)
	return &entry{path: path{a.Package, a.Name}, typ: actionType, updated: a.Updated, revision: a.Revision, value: a}
}

// applyOwn puts what we have written into memory. If the watch has told of it
// already, it has told of what came after too: then memory is newer.
func (c *Catalog) applyOwn(ns string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.revision > c.seen {
		c.insert(ns, e)
	}
}

// insert puts an entity into memory unless a newer state of it is known; mu is
// held.
func (c *Catalog) insert(ns string, e *entry) {
	if c.newest(ns, e.path) >= e.revision {
		return
	}
	n := c.namespaces[ns]
	if n == nil {
		n = newNamespace()
		c.namespaces[ns] = n
	}
	n.insert(e)
}

// newest is the newest revision known for a path; mu is held.
func (c *Catalog) newest(ns string, p path) int64 {
	rev := int64(0)
	if len(c.deleted) > 0 {
		rev = c.deleted[p.key(ns)]
	}
	if n := c.namespaces[ns]; n != nil && n.entries[p] != nil {
		rev = max(rev, n.entries[p].revision)
	}
	return rev
}

// drop takes an entity out of memory if it is older than revision; mu is held.
func (c *Catalog) drop(ns string, p path, revision int64) {
	n := c.namespaces[ns]
	if n == nil || n.entries[p] == nil || n.entries[p].revision >= revision {
		return
	}
	n.remove(p)
	if len(n.entries) == 0 {
		delete(c.namespaces, ns)
	}
}

func (c *Catalog) applyEvents(batch []store.Event) {
	for _, ev := range batch {
		if err := c.applyEvent(ev); err != nil {
			c.log.Error("an entity in the store cannot be used", "error", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetDeletions()
}

// forgetDeletions drops what the watch has told meanwhile; mu is held.
func (c *Catalog) forgetDeletions() {
	for key, rev := range c.deleted {
		if rev <= c.seen {
			delete(c.deleted, key)
		}
	}
}

func (c *Catalog) applyEvent(ev store.Event) error {
	ns, p, err := parseKey(ev.Key)
	var e *entry
	// Our own writes, which are most, are known and not worth decoding.
	if err == nil && !ev.Deleted && c.known(ns, p) < ev.ModRevision {
		_, e, err = decode(ev.Entry)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = max(c.seen, ev.ModRevision)
	switch {
	case e != nil:
		c.insert(ns, e)
	case err != nil || ev.Deleted:
		c.drop(ns, p, ev.ModRevision)
	}
	return err
}

func (c *Catalog) known(ns string, p path) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.newest(ns, p)
}

// reload reads everything anew.
func (c *Catalog) reload(ctx context.Context) error {
	entries, revision, err := c.store.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("listing the entities: %w", err)
	}
	decoded := map[string][]*entry{}
	for _, se := range entries {
		ns, e, err := decode(se)
		if err != nil {
			c.log.Error("an entity in the store cannot be used", "error", err)
			continue
		}
		decoded[ns] = append(decoded[ns], e)
	}
	fresh := map[string]*namespace{}
	for ns, l := range decoded {
		slices.SortFunc(l, byAge) // inserting in this order is appending
		fresh[ns] = newNamespace()
		for _, e := range l {
			fresh[ns].insert(e)
		}
	}
	c.swap(fresh, revision)
	return nil
}

// swap puts what was read at revision in place, except for what has been written
// by ourselves since.
func (c *Catalog) swap(fresh map[string]*namespace, revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.namespaces
	c.namespaces, c.seen = fresh, max(c.seen, revision)
	for ns, n := range old {
		for _, e := range n.entries {
			if e.revision <= revision {
				continue
			}
			if fresh[ns] == nil {
				fresh[ns] = newNamespace()
			}
			fresh[ns].insert(e)
		}
	}
	for key, rev := range c.deleted {
		if ns, p, err := parseKey(key); err == nil {
			c.drop(ns, p, rev)
		}
	}
	c.forgetDeletions()
}
