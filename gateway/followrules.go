package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// globalRule is a global rule as it was last good.
type globalRule struct {
	id      string
	plugins resource.Plugins
	created int64
}

// takeGlobalRule notes a change of a global rule; one whose plugins cannot run
// leaves what was there before.
func (f *follower) takeGlobalRule(id string, e *store.Event) error {
	if e.Deleted {
		delete(f.globalRules, id)
		return nil
	}
	conf, err := parse[resource.GlobalRule](f, e)
	if err != nil {
		return err
	}
	f.globalRules[id] = &globalRule{id: id, plugins: conf.Plugins, created: e.CreateRevision}
	return nil
}

// recompileGlobal makes the chain of all global rules: of a plugin in several of
// them the oldest runs. A rule that does not compile is left out.
func (f *follower) recompileGlobal() *heldChain {
	rules := slices.SortedFunc(maps.Values(f.globalRules), func(a, b *globalRule) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id))
	})
	before := f.g.snapshot.Load().global.Chain
	chains := []*plugin.Chain{f.g.conf.Always}
	for _, rule := range slices.Backward(rules) {
		var chain *plugin.Chain
		err := guard(func() (err error) {
			chain, err = plugin.Recompile(rule.plugins, f.g.conf.Env, before)
			return err
		})
		if err != nil {
			f.g.conf.Log.Error("compiling a global rule", "global_rule", rule.id, "err", err)
			continue
		}
		defer chain.Close()
		chains = append(chains, chain)
	}
	return hold(plugin.Merge(chains...))
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
