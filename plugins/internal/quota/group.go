package quota

import (
	"bytes"
	"errors"
)

// ErrMismatch says that a group has another configuration.
var ErrMismatch = errors.New("group conf mismatched")

// group is the configuration of those who count together.
type group struct {
	conf    []byte
	members int
}

// Join enters a member of a group, all of which must have the same configuration,
// until Leave.
func (s *Store) Join(name string, conf []byte) error {
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	g := s.groups[name]
	if g == nil {
		g = &group{conf: conf}
		s.groups[name] = g
	}
	if !bytes.Equal(g.conf, conf) {
		return ErrMismatch
	}
	g.members++
	return nil
}

// Fits tells, by an error, whether Join would be refused.
func (s *Store) Fits(name string, conf []byte) error {
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	if g := s.groups[name]; g != nil && !bytes.Equal(g.conf, conf) {
		return ErrMismatch
	}
	return nil
}

// Leave undoes Join.
func (s *Store) Leave(name string) {
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	if g := s.groups[name]; g != nil {
		if g.members--; g.members == 0 {
			delete(s.groups, name)
		}
	}
}
