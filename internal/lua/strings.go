package lua

import (
	"regexp"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// longWidth is a directive with a width or precision of more than two digits.
var longWidth = regexp.MustCompile(`%[-+ #0]*(?:\d{3}|\d*\.\d{3})`)

// openStrings bounds what makes long strings, and puts our own matcher in the place
// of one without bounds.
func openStrings(s *State) {
	str := s.GetGlobal(lua.StringLibName).(*lua.LTable)
	for name, fn := range map[string]func(*State) int{
		"rep": rep, "find": find, "match": match, "gmatch": gmatch, "gfind": gmatch, "gsub": gsub,
	} {
		str.RawSetString(name, s.Register(fn))
	}
	str.RawSetString("dump", lua.LNil)
	format := str.RawGetString("format").(*lua.LFunction).GFunction
	str.RawSetString("format", s.Register(func(s *State) int {
		total := len(s.CheckString(1))
		if longWidth.MatchString(s.CheckString(1)) {
			s.RaiseError("invalid format (width or precision too long)")
		}
		for i := 2; i <= s.GetTop(); i++ {
			total += len(lua.LVAsString(s.Get(i)))
		}
		s.BoundString(total)
		return format(s.LState)
	}))
}

func rep(s *State) int {
	text, n := s.CheckString(1), max(0, s.CheckInt(2))
	if len(text) > 0 && n > MaxString/len(text) {
		s.BoundString(MaxString + 1)
	}
	s.Push(lua.LString(strings.Repeat(text, n)))
	return 1
}

func (s *State) matcher(src, pat string) *matcher {
	return &matcher{src: src, pat: pat, fail: func(text string) { s.RaiseError("%s", text) }}
}

// startOf turns Lua's position into an offset.
func startOf(init, length int) int {
	if init < 0 {
		init += length + 1
	}
	return max(0, init-1)
}

// search answers the first match from an offset on.
func (m *matcher) search(from int) (start, end int, ok bool) {
	pat := m.pat
	anchored := strings.HasPrefix(pat, "^")
	p := 0
	if anchored {
		p = 1
	}
	for s := from; s <= len(m.src); s++ {
		m.captures = m.captures[:0]
		if e := m.match(s, p); e >= 0 {
			return s, e, true
		}
		if anchored {
			break
		}
	}
	return 0, 0, false
}

// pushCaptures pushes the captures, or the whole match if there are none.
func (m *matcher) pushCaptures(s *State, start, end int, whole bool) int {
	if len(m.captures) == 0 && whole {
		s.Push(lua.LString(m.src[start:end]))
		return 1
	}
	for i := range m.captures {
		s.Push(m.capture(i))
	}
	return len(m.captures)
}

func (m *matcher) capture(i int) lua.LValue {
	c := m.captures[i]
	switch c.length {
	case capturePosition:
		return lua.LNumber(c.start + 1)
	case captureOpen:
		m.fail("unfinished capture")
	}
	return lua.LString(m.src[c.start : c.start+c.length])
}

func find(s *State) int {
	src, pat := s.CheckString(1), s.CheckString(2)
	from := startOf(s.OptInt(3, 1), len(src))
	if from > len(src) {
		s.Push(lua.LNil)
		return 1
	}
	if lua.LVAsBool(s.Get(4)) || !strings.ContainsAny(pat, "^$*+?.([%-") {
		i := strings.Index(src[from:], pat)
		if i < 0 {
			s.Push(lua.LNil)
			return 1
		}
		s.Push(lua.LNumber(from + i + 1))
		s.Push(lua.LNumber(from + i + len(pat)))
		return 2
	}
	m := s.matcher(src, pat)
	start, end, ok := m.search(from)
	if !ok {
		s.Push(lua.LNil)
		return 1
	}
	s.Push(lua.LNumber(start + 1))
	s.Push(lua.LNumber(end))
	return 2 + m.pushCaptures(s, start, end, false)
}

func match(s *State) int {
	src, pat := s.CheckString(1), s.CheckString(2)
	from := startOf(s.OptInt(3, 1), len(src))
	m := s.matcher(src, pat)
	start, end, ok := m.search(from)
	if !ok {
		s.Push(lua.LNil)
		return 1
	}
	return m.pushCaptures(s, start, end, true)
}

func gmatch(s *State) int {
	src, pat := s.CheckString(1), s.CheckString(2)
	from := 0
	s.Push(s.Register(func(s *State) int {
		m := s.matcher(src, pat)
		for ; from <= len(src); from++ {
			m.captures = m.captures[:0]
			end := m.match(from, 0)
			if end < 0 {
				continue
			}
			start := from
			if from = end; end == start {
				from++
			}
			return m.pushCaptures(s, start, end, true)
		}
		return 0
	}))
	return 1
}

func gsub(s *State) int {
	src, pat := s.CheckString(1), s.CheckString(2)
	s.CheckTypes(3, lua.LTString, lua.LTNumber, lua.LTTable, lua.LTFunction)
	most := s.OptInt(4, len(src)+1)
	m := s.matcher(src, pat)
	p := 0
	if strings.HasPrefix(pat, "^") {
		p, most = 1, min(most, 1)
	}
	var out strings.Builder
	count, at := 0, 0
	for count < most {
		m.captures = m.captures[:0]
		end := m.match(at, p)
		if end >= 0 {
			count++
			text := m.replacement(s, at, end)
			s.BoundString(out.Len() + len(text))
			out.WriteString(text)
		}
		switch {
		case end > at:
			at = end
		case at < len(src):
			out.WriteByte(src[at])
			at++
		default:
			at++
		}
		if at > len(src) || p == 1 {
			break
		}
	}
	if at < len(src) {
		out.WriteString(src[at:])
	}
	s.BoundString(out.Len())
	s.Push(lua.LString(out.String()))
	s.Push(lua.LNumber(count))
	return 2
}

// replacement answers what gsub puts in the place of a match.
func (m *matcher) replacement(s *State, start, end int) string {
	whole := m.src[start:end]
	var v lua.LValue
	switch repl := s.Get(3).(type) {
	case *lua.LTable, *lua.LFunction:
		var first lua.LValue = lua.LString(whole)
		if len(m.captures) > 0 {
			first = m.capture(0)
		}
		if t, ok := repl.(*lua.LTable); ok {
			v = s.GetTable(t, first)
			break
		}
		top := s.GetTop()
		s.Push(repl)
		n := m.pushCaptures(s, start, end, true)
		s.LState.Call(n, 1)
		v = s.Get(-1)
		s.SetTop(top)
	default:
		return m.expand(lua.LVAsString(repl), whole)
	}
	switch {
	case lua.LVIsFalse(v):
		return whole
	case !lua.LVCanConvToString(v):
		s.RaiseError("invalid replacement value (a %s)", v.Type())
	}
	return lua.LVAsString(v)
}

// expand puts captures in the place of %1 … and the match in that of %0.
func (m *matcher) expand(repl, whole string) string {
	if strings.IndexByte(repl, '%') < 0 {
		return repl
	}
	var b strings.Builder
	for i := 0; i < len(repl); i++ {
		if repl[i] != '%' || i+1 == len(repl) {
			b.WriteByte(repl[i])
			continue
		}
		i++
		switch c := repl[i]; {
		case c == '0', c == '1' && len(m.captures) == 0:
			b.WriteString(whole)
		case isDigit(c):
			if n := int(c - '1'); n < len(m.captures) {
				b.WriteString(lua.LVAsString(m.capture(n)))
			} else {
				m.fail("invalid capture index")
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
