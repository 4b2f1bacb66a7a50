package lua

import (
	lua "github.com/yuin/gopher-lua"
)

// Variables makes a table whose fields are what get answers for their names; set,
// unless it is nil, takes assignments.
func (s *State) Variables(get func(s *State, name string) lua.LValue, set func(s *State, name string, value lua.LValue)) *lua.LTable {
	meta := s.CreateTable(0, 2)
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

// Lazy makes a table whose fields are made when they are asked for: make answers nil
// for one that there is not, and with keep it is not asked for this one again.
func (s *State) Lazy(make func(s *State, name string) (v lua.LValue, keep bool)) *lua.LTable {
	meta, t := s.CreateTable(0, 2), s.NewTable()
	meta.RawSetString("__index", s.Register(func(s *State) int {
		name, ok := s.Get(2).(lua.LString)
		if !ok {
			return 0
		}
		v, keep := make(s, string(name))
		if v == nil {
			return 0
		}
		if keep {
			t.RawSetString(string(name), v)
		}
		s.Push(v)
		return 1
	}))
	t.Metatable = meta
	return t
}

// NewTable makes an empty table. It hides the machine's own, which makes room for
// 64 fields.
func (s *State) NewTable() *lua.LTable { return s.CreateTable(0, 0) }

// GetGlobal answers a global as it stands. It hides the machine's own, which asks what
// a source has made of _G, and so may fail where no call is under way.
func (s *State) GetGlobal(name string) lua.LValue { return s.G.Global.RawGetString(name) }

// SetGlobal is the reverse.
func (s *State) SetGlobal(name string, v lua.LValue) { s.G.Global.RawSetString(name, v) }
