package gateway

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// followedUser is a consumer and its credentials as they were last good. The
// credentials may be there before their consumer.
type followedUser struct {
	conf        *resource.Consumer
	credentials map[string]*resource.Credential
	own         *plugin.Chain // the consumer's plugins; nil if it has none
}

// takeConsumer notes a change of a consumer.
func (f *follower) takeConsumer(name string, e *store.Event) error {
	u := f.userNamed(name)
	if e.Deleted {
		u.conf = nil
		f.publishUser(name, u, nil)
		return nil
	}
	conf, err := parse[resource.Consumer](f, e)
	if err != nil {
		return err
	}
	own, err := f.compileOwn(conf.Plugins, u.own)
	if err != nil {
		return err
	}
	u.conf = conf
	f.publishUser(name, u, own)
	return nil
}

// takeCredential notes a change of a credential, whose id is jack/credentials/c1.
func (f *follower) takeCredential(id string, e *store.Event) error {
	name, own, _ := resource.SplitCredentialID(id)
	u := f.userNamed(name)
	if e.Deleted {
		delete(u.credentials, own)
	} else {
		conf, err := parse[resource.Credential](f, e)
		if err != nil {
			return err
		}
		u.credentials[own] = conf
	}
	chain := u.own
	if chain != nil {
		chain = plugin.Merge(chain)
	}
	f.publishUser(name, u, chain)
	return nil
}

func (f *follower) userNamed(name string) *followedUser {
	u := f.users[name]
	if u == nil {
		u = &followedUser{credentials: map[string]*resource.Credential{}}
		f.users[name] = u
	}
	return u
}

// compileOwn makes the plugins ready that a consumer or a group brings. Its
// authentication plugins are data only.
func (f *follower) compileOwn(plugins resource.Plugins, old *plugin.Chain) (*plugin.Chain, error) {
	confs := map[string]json.RawMessage{}
	for name, conf := range plugins {
		if t, ok := plugin.Lookup(name); !ok || !t.IsAuth() {
			confs[name] = conf
		}
	}
	if len(confs) == 0 {
		return nil, nil
	}
	return plugin.Recompile(confs, f.g.conf.Env, old)
}

// publishUser puts a user into force whose plugins are own.
func (f *follower) publishUser(name string, u *followedUser, own *plugin.Chain) {
	u.own = own
	if u.conf == nil && len(u.credentials) == 0 {
		delete(f.users, name)
	}
	var next *user
	if u.conf != nil {
		next = f.makeUser(name, u)
	}
	if old := f.g.consumers.setUser(name, next); old != nil {
		f.letGo(old)
	}
}

// makeUser makes a consumer's index entries.
func (f *follower) makeUser(name string, u *followedUser) *user {
	who := plugin.Consumer{
		Username: name, GroupID: string(u.conf.GroupID), Labels: u.conf.Labels, CustomID: u.conf.Labels["custom_id"],
	}
	next := &user{named: &plugin.Credential{Consumer: who}, chain: noPlugins}
	if u.own != nil {
		next.chain = hold(u.own)
	}
	f.claim(next, who, u.conf.Plugins)
	for _, id := range slices.Sorted(maps.Keys(u.credentials)) {
		who.CredentialID = id
		f.claim(next, who, u.credentials[id].Plugins)
	}
	return next
}

// claim enters what a consumer or one of its credentials is found by. One that is
// not valid, or that holds a reference which leads nowhere, is left out.
func (f *follower) claim(u *user, who plugin.Consumer, plugins resource.Plugins) {
	for name, conf := range plugins {
		t, ok := f.g.conf.Env.Plugins.Lookup(name)
		if !ok || !t.IsAuth() {
			continue
		}
		if resource.HasReference(conf) {
			f.g.conf.Log.Warn("leaving out a credential with a reference that leads nowhere",
				"consumer", who.Username, "credential", who.CredentialID, "plugin", name)
			continue
		}
		c, err := t.LoadConsumer(conf)
		if err != nil {
			f.g.conf.Log.Error("reading a credential", "consumer", who.Username, "credential", who.CredentialID, "plugin", name, "err", err)
			continue
		}
		if c.Key == "" && t.ConsumerKey != "" {
			continue
		}
		c.Consumer = who
		u.claims = append(u.claims, claim{name, cmp.Or(c.Key, who.Username)})
		u.credentials = append(u.credentials, c)
	}
}

// takeGroup notes a change of a consumer group.
func (f *follower) takeGroup(id string, e *store.Event) error {
	if e.Deleted {
		if old := f.g.consumers.setGroup(id, nil); old != nil {
			f.letGo(old)
		}
		return nil
	}
	conf, err := parse[resource.ConsumerGroup](f, e)
	if err != nil {
		return err
	}
	var before *plugin.Chain
	if old := f.g.consumers.group(id); old != nil {
		before = old.Chain
	}
	own, err := f.compileOwn(conf.Plugins, before)
	if err != nil {
		return err
	}
	next := noPlugins
	if own != nil {
		next = hold(own)
	}
	if old := f.g.consumers.setGroup(id, next); old != nil {
		f.letGo(old)
	}
	return nil
}
