package gateway

import (
	"sync"
	"sync/atomic"

	"millrace/plugin"
)

// heldChain is a chain of plugins that is closed when neither the configuration
// nor a request uses it any more.
type heldChain struct {
	*plugin.Chain
	refs atomic.Int64
	// replaced: the configuration has let go of it, so nothing that is made of it is
	// worth keeping; mergedChains.mu guards it.
	replaced bool
}

// noPlugins is the chain of all that has none. It is never closed.
var noPlugins = &heldChain{Chain: &plugin.Chain{}}

// hold makes a chain that its maker holds.
func hold(ch *plugin.Chain) *heldChain {
	if ch.Len() == 0 {
		return noPlugins
	}
	h := &heldChain{Chain: ch}
	h.refs.Store(1)
	return h
}

// acquire holds the chain open; false if it is closed already.
func (h *heldChain) acquire() bool {
	if h == noPlugins {
		return true
	}
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release undoes acquire; the last one closes the plugins.
func (h *heldChain) release() {
	if h != noPlugins && h.refs.Add(-1) == 0 {
		h.Close()
	}
}

// maxMerged bounds how many merged chains are kept.
const maxMerged = 4096

// mergedChains keeps the chains of routes extended with those of consumers and
// their groups. What a chain was made of is its key, so that a change of any of
// the three leads to another.
type mergedChains struct {
	mu     sync.Mutex
	chains map[mergedKey]*heldChain
}

type mergedKey struct{ route, group, consumer *heldChain }

// get answers the chain for a key, held for the caller, who holds the route's.
// It answers nil if the group's or the consumer's has been closed.
func (m *mergedChains) get(key mergedKey) *heldChain {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.chains[key]; h != nil && h.acquire() {
		return h
	}
	if !key.group.acquire() {
		return nil
	}
	defer key.group.release()
	if !key.consumer.acquire() {
		return nil
	}
	defer key.consumer.release()
	h := hold(plugin.Extend(key.route.Chain, key.group.Chain, key.consumer.Chain))
	if key.route.replaced || key.group.replaced || key.consumer.replaced {
		return h
	}
	m.keep(key, h)
	h.acquire()
	return h
}

// keep enters a chain for the requests to come; mu is held.
func (m *mergedChains) keep(key mergedKey, h *heldChain) {
	for other, chain := range m.chains {
		if len(m.chains) < maxMerged {
			break
		}
		delete(m.chains, other)
		chain.release()
	}
	if m.chains == nil {
		m.chains = map[mergedKey]*heldChain{}
	}
	m.chains[key] = h
}

// sweep drops what was made of chains that the configuration has let go of.
func (m *mergedChains) sweep(gone map[*heldChain]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for h := range gone {
		h.replaced = true
	}
	for key, chain := range m.chains {
		if gone[key.route] || gone[key.group] || gone[key.consumer] {
			delete(m.chains, key)
			chain.release()
		}
	}
}
