package catalog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"millrace/store"
	"millrace/whisk"
)

const prefix = "/whisk/entities/"

// entityType says what a value in the store is.
type entityType string

const (
	actionType  entityType = "action"
	packageType entityType = "package"
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

// entry is an entity in memory.
type entry struct {
	path
	typ               entityType
	updated, revision int64
	value             any // *whisk.Action or *whisk.Package
}

// namespace is what one namespace holds: by path, and by type in the order of
// lists, oldest first.
type namespace struct {
	entries map[path]*entry
	ordered map[entityType][]*entry
}

func newNamespace() *namespace {
	return &namespace{entries: map[path]*entry{}, ordered: map[entityType][]*entry{}}
}

// byAge orders entries as lists show them, from the end: by time of update, then
// by revision, which is unique.
func byAge(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.updated, b.updated), cmp.Compare(a.revision, b.revision))
}

func (n *namespace) insert(e *entry) {
	n.remove(e.path)
	n.entries[e.path] = e
	l := n.ordered[e.typ]
	i, _ := slices.BinarySearchFunc(l, e, byAge)
	n.ordered[e.typ] = slices.Insert(l, i, e)
}

func (n *namespace) remove(p path) {
	e := n.entries[p]
	if e == nil {
		return
	}
	delete(n.entries, p)
	l := n.ordered[e.typ]
	if i, ok := slices.BinarySearchFunc(l, e, byAge); ok {
		n.ordered[e.typ] = slices.Delete(l, i, i+1)
	}
}

type envelope struct {
	Type   entityType      `json:"type"`
	Entity json.RawMessage `json:"entity"`
}

// encode leaves <, > and & as they are: what a client gave comes back as it was.
func encode(t entityType, v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Type   entityType `json:"type"`
		Entity any        `json:"entity"`
	}{t, v})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
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
	var v any
	switch env.Type {
	case actionType:
		a := &whisk.Action{Revision: e.ModRevision}
		err, v = json.Unmarshal(env.Entity, a), a
		a.Namespace, a.Package, a.Name = ns, p.pkg, p.name
	case packageType:
		k := &whisk.Package{Revision: e.ModRevision}
		err, v = json.Unmarshal(env.Entity, k), k
		k.Namespace, k.Name = ns, p.name
	default:
		err = fmt.Errorf("unknown type %q", env.Type)
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	return ns, entryOf(v), nil
}

// entryOf makes the entry of a *whisk.Action or *whisk.Package.
func entryOf(v any) *entry {
	if p, ok := v.(*whisk.Package); ok {
		return &entry{path{"", p.Name}, packageType, p.Updated, p.Revision, p}
	}
	a := v.(*whisk.Action)
	return &entry{path{a.Package, a.Name}, actionType, a.Updated, a.Revision, a}
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
	fresh := map[string]*namespace{}
	for _, se := range entries {
		ns, e, err := decode(se)
		if err != nil {
			c.log.Error("an entity in the store cannot be used", "error", err)
			continue
		}
		if fresh[ns] == nil {
			fresh[ns] = newNamespace()
		}
		fresh[ns].entries[e.path] = e
		fresh[ns].ordered[e.typ] = append(fresh[ns].ordered[e.typ], e)
	}
	for _, n := range fresh {
		for _, l := range n.ordered {
			slices.SortFunc(l, byAge)
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

// list answers the entities of one type that keep accepts, newest first.
func list[T any](c *Catalog, ns string, t entityType, skip, limit int, keep func(T) bool) []T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []T
	n := c.namespaces[ns]
	if n == nil {
		return out
	}
	l := n.ordered[t]
	for i := len(l) - 1; i >= 0 && (limit == 0 || len(out) < limit); i-- {
		v, ok := l[i].value.(T)
		if !ok || !keep(v) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		out = append(out, v)
	}
	return out
}

func (c *Catalog) count(ns string, t entityType) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := c.namespaces[ns]; n != nil {
		return len(n.ordered[t])
	}
	return 0
}
