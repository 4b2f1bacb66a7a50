package catalog

import (
	"millrace/whisk"
)

// Action answers the action at namespace/pkg/name; pkg is empty for the default
// package.
func (c *Catalog) Action(namespace, pkg, name string) (*whisk.Action, bool) {
	a, ok := c.find(namespace, path{pkg, name}).(*whisk.Action)
	return a, ok
}

// Package answers a package.
func (c *Catalog) Package(namespace, name string) (*whisk.Package, bool) {
	p, ok := c.find(namespace, path{"", name}).(*whisk.Package)
	return p, ok
}

// Trigger answers a trigger.
func (c *Catalog) Trigger(namespace, name string) (*whisk.Trigger, bool) {
	t, ok := c.find(namespace, path{"", name}).(*whisk.Trigger)
	return t, ok
}

// Rule answers a rule.
func (c *Catalog) Rule(namespace, name string) (*whisk.Rule, bool) {
	r, ok := c.find(namespace, path{"", name}).(*whisk.Rule)
	return r, ok
}

// Exists tells whether namespace/pkg/name is taken by any kind of entity.
func (c *Catalog) Exists(namespace, pkg, name string) bool {
	return c.find(namespace, path{pkg, name}) != nil
}

func (c *Catalog) find(ns string, p path) any {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := c.namespaces[ns]; n != nil {
		if e := n.entries[p]; e != nil {
			return e.value
		}
	}
	return nil
}

// Rules answers the rules that are linked to t, active or not, sorted by name.
func (c *Catalog) Rules(t *whisk.Trigger) []*whisk.Rule {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.namespaces[t.Namespace]
	if n == nil || len(n.rules[t.Name]) == 0 {
		return nil
	}
	l := n.rules[t.Name]
	out := make([]*whisk.Rule, 0, len(l))
	for _, e := range l {
		if r := e.value.(*whisk.Rule); r.TriggerID == t.ID {
			out = append(out, r)
		}
	}
	return out
}

// Linked answers the trigger of a rule, or nil if it has been deleted since the
// rule was linked to it.
func (c *Catalog) Linked(r *whisk.Rule) *whisk.Trigger {
	if t, ok := c.Trigger(r.Namespace, r.Trigger.Name); ok && t.ID == r.TriggerID {
		return t
	}
	return nil
}

// ListActions answers actions of a namespace, newest first, after passing over
// skip of them; at most limit, or all if limit is 0. With pkg, only those of
// that package.
func (c *Catalog) ListActions(namespace, pkg string, skip, limit int) []*whisk.Action {
	return list[*whisk.Action](c, namespace, collection{actionType, pkg}, skip, limit, nil)
}

// CountActions says how many actions ListActions would answer without bounds.
func (c *Catalog) CountActions(namespace, pkg string) int {
	return c.count(namespace, collection{actionType, pkg})
}

// ListPackages answers packages of a namespace, newest first, bounded as by
// ListActions. publicOnly keeps those that everyone may use.
func (c *Catalog) ListPackages(namespace string, publicOnly bool, skip, limit int) []*whisk.Package {
	var keep func(*whisk.Package) bool
	if publicOnly {
		keep = (*whisk.Package).Public
	}
	return list(c, namespace, collection{typ: packageType}, skip, limit, keep)
}

// CountPackages says how many packages ListPackages would answer without bounds.
func (c *Catalog) CountPackages(namespace string, publicOnly bool) int {
	if publicOnly {
		return len(c.ListPackages(namespace, true, 0, 0))
	}
	return c.count(namespace, collection{typ: packageType})
}

// ListTriggers answers triggers of a namespace, newest first, bounded as by
// ListActions.
func (c *Catalog) ListTriggers(namespace string, skip, limit int) []*whisk.Trigger {
	return list[*whisk.Trigger](c, namespace, collection{typ: triggerType}, skip, limit, nil)
}

// CountTriggers says how many triggers a namespace has.
func (c *Catalog) CountTriggers(namespace string) int {
	return c.count(namespace, collection{typ: triggerType})
}

// ListRules answers rules of a namespace, newest first, bounded as by ListActions.
func (c *Catalog) ListRules(namespace string, skip, limit int) []*whisk.Rule {
	return list[*whisk.Rule](c, namespace, collection{typ: ruleType}, skip, limit, nil)
}

// CountRules says how many rules a namespace has.
func (c *Catalog) CountRules(namespace string) int {
	return c.count(namespace, collection{typ: ruleType})
}

// list answers the entities of a collection that keep accepts (nil: all), newest
// first.
func list[T any](c *Catalog, ns string, of collection, skip, limit int, keep func(T) bool) []T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := c.namespaces[ns]
	if n == nil {
		return nil
	}
	var out []T
	for e := range n.collections[of].newestFirst() {
		v := e.value.(T)
		if keep != nil && !keep(v) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		out = append(out, v)
		if len(out) == limit {
			break
		}
	}
	return out
}

func (c *Catalog) count(ns string, of collection) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := c.namespaces[ns]; n != nil {
		return n.collections[of].len()
	}
	return 0
}
