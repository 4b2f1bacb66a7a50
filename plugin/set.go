package plugin

import (
	"slices"
	"sync"
)

// Set is which of the registered plugins may be used: those that the configuration
// lists, which Replace changes. A nil Set is all of them.
type Set struct {
	mu                         sync.RWMutex
	listed, streams, protocols map[string]bool // nil: all
	replaced                   chan struct{}
}

// NewSet makes the set of the plugins with the given names, and of all plugins of
// streams.
func NewSet(names []string) *Set { return newSet(setOf(names), nil, nil) }

func newSet(listed, streams, protocols map[string]bool) *Set {
	return &Set{listed: listed, streams: streams, protocols: protocols, replaced: make(chan struct{})}
}

// WithStreams answers the set with these plugins of streams only, and these protocols
// that stream routes may name.
func (s *Set) WithStreams(names, protocols []string) *Set {
	var listed map[string]bool
	if s != nil {
		listed = s.listed
	}
	return newSet(listed, setOf(names), setOf(protocols))
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// Replace makes the set one of other plugins, of requests and of streams; nil is all
// of them.
func (s *Set) Replace(names, streams []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed, s.streams = nil, nil
	if names != nil {
		s.listed = setOf(names)
	}
	if streams != nil {
		s.streams = setOf(streams)
	}
	close(s.replaced)
	s.replaced = make(chan struct{})
}

// Replaced answers a channel that is closed by the next Replace: what has been
// compiled with the set is then of the one before.
func (s *Set) Replaced() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.replaced
}

// Has tells whether a plugin may be used, if there is one of that name.
func (s *Set) Has(name string) bool {
	if s == nil {
		return true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.listed == nil || s.listed[name]
}

// HasStream is Has for plugins of streams.
func (s *Set) HasStream(name string) bool {
	if s == nil {
		return true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.streams == nil || s.streams[name]
}

// HasProtocol tells whether stream routes may name a protocol.
func (s *Set) HasProtocol(name string) bool {
	return s == nil || s.protocols == nil || s.protocols[name]
}

// Lookup is Lookup among the plugins of the set.
func (s *Set) Lookup(name string) (*Type, bool) {
	if !s.Has(name) {
		return nil, false
	}
	return Lookup(name)
}

// LookupStream is LookupStream among the plugins of the set.
func (s *Set) LookupStream(name string) (*Type, bool) {
	if !s.HasStream(name) {
		return nil, false
	}
	return LookupStream(name)
}

// Names is Names of the plugins in the set.
func (s *Set) Names() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return !s.Has(name) })
}

// StreamNames is StreamNames of the plugins in the set.
func (s *Set) StreamNames() []string {
	return slices.DeleteFunc(StreamNames(), func(name string) bool { return !s.HasStream(name) })
}
