package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"millrace/gateway/follow"
	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// globalRule is a global rule. One whose plugins cannot run has those of before, good.
type globalRule struct {
	id            string
	plugins, good resource.Plugins
	created       int64
}

// takeGlobalRule notes a change of a global rule.
func (f *follower) takeGlobalRule(id string, e *store.Event) error {
	if e.Deleted {
		delete(f.globalRules, id)
		return nil
	}
	conf, err := parse[resource.GlobalRule](f, e)
	if err != nil {
		return err
	}
	next := &globalRule{id: id, plugins: conf.Plugins, created: e.CreateRevision}
	if old := f.globalRules[id]; old != nil {
		next.good = old.good
	}
	f.globalRules[id] = next
	return nil
}

// recompileGlobal makes the chain of all global rules: of a plugin in several of
// them the oldest runs.
func (f *follower) recompileGlobal() *heldChain {
	rules := slices.SortedFunc(maps.Values(f.globalRules), func(a, b *globalRule) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id))
	})
	before := f.g.snapshot.Load().global.Chain
	chains := []*plugin.Chain{f.g.conf.Always}
	for _, rule := range slices.Backward(rules) {
		if chain := f.compileRule(rule, before); chain != nil {
			defer chain.Close()
			chains = append(chains, chain)
		}
	}
	return hold(plugin.Merge(chains...))
}

// compileRule makes the chain of a global rule, whose instances in before stay if their
// configuration does. A rule that does not compile is as it was: it may be what keeps
// clients out. nil: it never was.
func (f *follower) compileRule(rule *globalRule, before *plugin.Chain) (chain *plugin.Chain) {
	compile := func(plugins resource.Plugins) error {
		return follow.Guard(func() (err error) {
			chain, err = plugin.Recompile(plugins, f.g.conf.Env, before)
			return err
		})
	}
	err := compile(rule.plugins)
	if err == nil {
		rule.good = rule.plugins
		return chain
	}
	f.g.conf.Log.Error("compiling a global rule; what was there before stays", "global_rule", rule.id, "err", err)
	rule.plugins = rule.good
	if rule.good == nil || compile(rule.good) != nil {
		return nil
	}
	return chain
}

// takeMetadata notes a change of a plugin's metadata. The map is copied: requests
// read the one before.
func (f *follower) takeMetadata(name string, e *store.Event) error {
	next := maps.Clone(f.metadata)
	if next == nil {
		next = plugin.Metadata{}
	}
	if delete(next, name); !e.Deleted {
		t, ok := f.g.conf.Env.Plugins.Lookup(name)
		if !ok {
			return errors.New("no such plugin")
		}
		conf, err := parse[json.RawMessage](f, e)
		if err != nil {
			return err
		}
		m, err := t.LoadMetadata(*conf)
		if err != nil {
			return err
		}
		if m != nil {
			next[name] = m
		}
	}
	f.metadata = next
	return nil
}
