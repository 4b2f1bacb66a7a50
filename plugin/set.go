package plugin

import "slices"

// Set is which of the registered plugins may be used: those that the
// configuration lists. A nil Set is all of them.
type Set struct{ listed map[string]bool }

// NewSet makes the set of the plugins with the given names.
func NewSet(names []string) *Set {
	s := &Set{make(map[string]bool, len(names))}
	for _, name := range names {
		s.listed[name] = true
	}
	return s
}

// Has tells whether a plugin may be used, if there is one of that name.
func (s *Set) Has(name string) bool { return s == nil || s.listed[name] }

// Lookup is Lookup among the plugins of the set.
func (s *Set) Lookup(name string) (*Type, bool) {
	if !s.Has(name) {
		return nil, false
	}
	return Lookup(name)
}

// Names is Names of the plugins in the set.
func (s *Set) Names() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return !s.Has(name) })
}
