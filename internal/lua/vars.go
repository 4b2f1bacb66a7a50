package lua

import (
	lua "github.com/yuin/gopher-lua"
)

// Variables makes a table whose fields are what get answers for their names; set,
// unless it is nil, takes assignments.
func (s *State) Variables(get func(s *State, name string) lua.LValue, set func(s *State, name string, value lua.LValue)) *lua.LTable {
	meta := s.NewTable()
	meta.RawSetString("__index", s.Register(func(s *State) int {
		s.Push(get(s, lua.LVAsString(s.Get(2))))
		return 1
	}))
	meta.RawSetString("__newindex", s.Register(func(s *State) int {
		if set == nil {
			s.RaiseError("variables cannot be set here")
		}
		set(s, lua.LVAsString(s.Get(2)), s.Get(3))
		return 0
	}))
	t := s.NewTable()
	t.Metatable = meta
	return t
}
