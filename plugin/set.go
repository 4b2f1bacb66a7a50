package plugin

import "slices"

// Set is which of the registered plugins may be used: those that the
// configuration lists. A nil Set is all of them.
type Set struct{ listed, streams, protocols map[string]bool } // nil: all

// NewSet makes the set of the plugins with the given names, and of all plugins of
// streams.
func NewSet(names []string) *Set { return &Set{listed: setOf(names)} }

// WithStreams answers the set with these plugins of streams only, and these protocols
// that stream routes may name.
func (s *Set) WithStreams(names, protocols []string) *Set {
	with := &Set{streams: setOf(names), protocols: setOf(protocols)}
	if s != nil {
		with.listed = s.listed
	}
	return with
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// Has tells whether a plugin may be used, if there is one of that name.
func (s *Set) Has(name string) bool { return s == nil || s.listed == nil || s.listed[name] }

// HasStream is Has for plugins of streams.
func (s *Set) HasStream(name string) bool { return s == nil || s.streams == nil || s.streams[name] }

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
