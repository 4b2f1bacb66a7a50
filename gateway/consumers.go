package gateway

import (
	"slices"
	"sync"

	"millrace/plugin"
)

// consumers finds who may call, for all requests at once. The follower changes
// one user at a time.
type consumers struct {
	mu     sync.RWMutex
	users  map[string]*user
	groups map[string]*heldChain
	// claims are the credentials with one key of one plugin: the last counts.
	claims map[claim][]*plugin.Credential
}

type claim struct{ plugin, key string }

// user is a consumer with what it is found by. It never changes.
type user struct {
	named       *plugin.Credential
	chain       *heldChain
	claims      []claim
	credentials []*plugin.Credential // of claims
}

var _ plugin.Consumers = (*consumers)(nil)

// Credential implements plugin.Consumers.
func (s *consumers) Credential(name, key string) *plugin.Credential {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if list := s.claims[claim{name, key}]; len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// Named implements plugin.Consumers.
func (s *consumers) Named(username string) *plugin.Credential {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if u := s.users[username]; u != nil {
		return u.named
	}
	return nil
}

// chainsOf answers the chains of a consumer and of its group, which may be closed
// by the time they are used. It answers false if the group does not exist.
func (s *consumers) chainsOf(c *plugin.Consumer) (group, own *heldChain, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	own, group = noPlugins, noPlugins
	if u := s.users[c.Username]; u != nil {
		own = u.chain
	}
	if c.GroupID != "" {
		if group = s.groups[c.GroupID]; group == nil {
			return nil, nil, false
		}
	}
	return group, own, true
}

// setUser puts a user in the place of the one before; nil removes it. It answers
// the chain of the one before, nil if there was none.
func (s *consumers) setUser(name string, next *user) (old *heldChain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.users[name]; before != nil {
		old = before.chain
		for i, key := range before.claims {
			s.drop(key, before.credentials[i])
		}
	}
	if next == nil {
		delete(s.users, name)
		return old
	}
	if s.users == nil {
		s.users, s.claims = map[string]*user{}, map[claim][]*plugin.Credential{}
	}
	s.users[name] = next
	for i, key := range next.claims {
		s.claims[key] = append(s.claims[key], next.credentials[i])
	}
	return old
}

func (s *consumers) drop(key claim, c *plugin.Credential) {
	left := slices.DeleteFunc(s.claims[key], func(other *plugin.Credential) bool { return other == c })
	if len(left) == 0 {
		delete(s.claims, key)
		return
	}
	s.claims[key] = left
}

// setGroup puts a group's chain in the place of the one before, which it answers;
// nil removes it.
func (s *consumers) setGroup(id string, chain *heldChain) (old *heldChain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.groups[id]
	if chain == nil {
		delete(s.groups, id)
		return old
	}
	if s.groups == nil {
		s.groups = map[string]*heldChain{}
	}
	s.groups[id] = chain
	return old
}

// group answers the chain of a group, nil if there is none.
func (s *consumers) group(id string) *heldChain {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.groups[id]
}
