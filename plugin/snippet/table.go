package snippet

import (
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"millrace/internal/expr"
	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// maxNodes bounds how many values of nested tables are copied, merged or printed by one
// call; a table may hold itself.
const maxNodes = 50_000

// countNode counts one of them.
func countNode(s *sandbox.State, left *int) {
	if *left--; *left < 0 {
		s.RaiseError("excessive nesting")
	}
}

// coreString are the functions of core.string, beside those of Lua's string.
var coreString = map[string]luaFunc{
	"has_prefix": func(s *sandbox.State) int { return push(s, strings.HasPrefix(s.CheckString(1), s.CheckString(2))) },
	"has_suffix": func(s *sandbox.State) int { return push(s, strings.HasSuffix(s.CheckString(1), s.CheckString(2))) },
	"find":       findPlain,
	"rfind_char": func(s *sandbox.State) int {
		text, char := s.CheckString(1), s.CheckString(2)
		end := min(s.OptInt(3, len(text)), len(text))
		if i := strings.LastIndex(text[:max(0, end)], char); i >= 0 && char != "" {
			return push(s, i+1)
		}
		return pushNil(s)
	},
	"split": splitPlain,
	"hex_encode": func(s *sandbox.State) int {
		return push(s, hex.EncodeToString([]byte(s.CheckString(1))))
	},
}

// findPlain takes (text, part, from) and answers where the part is.
func findPlain(s *sandbox.State) int {
	text, part := s.CheckString(1), s.CheckString(2)
	from := s.OptInt(3, 1)
	if from < 0 {
		from += len(text) + 1
	}
	from = max(0, from-1)
	if from > len(text) {
		return pushNil(s)
	}
	i := strings.Index(text[from:], part)
	if i < 0 {
		return pushNil(s)
	}
	push(s, from+i+1)
	return 1 + push(s, from+i+len(part))
}

func splitPlain(s *sandbox.State) int {
	t := s.NewTable()
	s.Charge(len(s.CheckString(1)) * 32)
	for part := range strings.SplitSeq(s.CheckString(1), s.CheckString(2)) {
		t.Append(lua.LString(part))
	}
	s.Push(t)
	return 1
}

// coreTable are the functions of core.table, beside those of Lua's table.
var coreTable = map[string]luaFunc{
	"new":   func(s *sandbox.State) int { s.Push(s.NewTable()); return 1 },
	"nkeys": func(s *sandbox.State) int { return push(s, countKeys(s.CheckTable(1))) },
	"clear": func(s *sandbox.State) int { clearTable(s.CheckTable(1)); return 0 },
	"isempty": func(s *sandbox.State) int {
		return push(s, countKeys(s.CheckTable(1)) == 0)
	},
	"isarray": func(s *sandbox.State) int {
		t, ok := s.Get(1).(*lua.LTable)
		return push(s, ok && t.Len() == countKeys(t))
	},
	"array_find": func(s *sandbox.State) int {
		t := s.CheckTable(1)
		for i := 1; i <= t.Len(); i++ {
			if s.Equal(t.RawGetInt(i), s.Get(2)) {
				return push(s, i)
			}
		}
		return pushNil(s)
	},
	"insert_tail": func(s *sandbox.State) int {
		t := s.CheckTable(1)
		for i := 2; i <= s.GetTop(); i++ {
			t.Append(s.Get(i))
		}
		return push(s, t.Len())
	},
	"set": func(s *sandbox.State) int {
		t := s.CheckTable(1)
		for i := 2; i <= s.GetTop(); i++ {
			t.RawSetInt(i-1, s.Get(i))
		}
		return push(s, s.GetTop()-1)
	},
	"clone": func(s *sandbox.State) int {
		from, to := s.CheckTable(1), s.NewTable()
		s.Charge(countKeys(from) * entrySize)
		from.ForEach(func(key, v lua.LValue) { to.RawSet(key, v) })
		s.Push(to)
		return 1
	},
	"deepcopy": func(s *sandbox.State) int {
		nodes := maxNodes
		s.Push(deepCopy(s, s.Get(1), &nodes))
		return 1
	},
	"merge": func(s *sandbox.State) int {
		nodes := maxNodes
		mergeTables(s, s.CheckTable(1), s.CheckTable(2), &nodes)
		s.Push(s.Get(1))
		return 1
	},
	"try_read_attr": func(s *sandbox.State) int {
		v := s.Get(1)
		for i := 2; i <= s.GetTop(); i++ {
			t, ok := v.(*lua.LTable)
			if !ok {
				return pushNil(s)
			}
			v = t.RawGet(s.Get(i))
		}
		s.Push(v)
		return 1
	},
	"pick": func(s *sandbox.State) int {
		from, to := s.CheckTable(1), s.NewTable()
		keys := s.CheckTable(2)
		s.Charge(countKeys(keys) * entrySize)
		keys.ForEach(func(key, _ lua.LValue) { to.RawSet(key, from.RawGet(key)) })
		s.Push(to)
		return 1
	},
}

func countKeys(t *lua.LTable) int {
	n := 0
	t.ForEach(func(lua.LValue, lua.LValue) { n++ })
	return n
}

func clearTable(t *lua.LTable) {
	var keys []lua.LValue
	t.ForEach(func(key, _ lua.LValue) { keys = append(keys, key) })
	for _, key := range slices.Backward(keys) {
		t.RawSet(key, lua.LNil)
	}
}

func deepCopy(s *sandbox.State, v lua.LValue, nodes *int) lua.LValue {
	countNode(s, nodes)
	from, ok := v.(*lua.LTable)
	if !ok {
		return v
	}
	s.Charge(nodeSize)
	to := s.NewTable()
	to.Metatable = from.Metatable
	from.ForEach(func(key, v lua.LValue) { to.RawSet(key, deepCopy(s, v, nodes)) })
	return to
}

// About what a table takes, and one of its fields.
const (
	nodeSize  = 200
	entrySize = 100
)

// mergeTables enters in to what from has; tables in both are merged too.
func mergeTables(s *sandbox.State, to, from *lua.LTable, nodes *int) {
	from.ForEach(func(key, v lua.LValue) {
		countNode(s, nodes)
		own, ok := to.RawGet(key).(*lua.LTable)
		more, both := v.(*lua.LTable)
		if ok && both {
			mergeTables(s, own, more, nodes)
		} else {
			to.RawSet(key, v)
		}
	})
}

// coreUtils are the functions of core.utils.
var coreUtils = map[string]luaFunc{
	"resolve_var":     resolveVar,
	"gethostname":     func(s *sandbox.State) int { name, _ := os.Hostname(); return push(s, name) },
	"sleep":           ngxSleep,
	"uri_safe_encode": func(s *sandbox.State) int { return push(s, escapeComponent(textArg(s, 1))) },
	"validate_header_field": func(s *sandbox.State) int {
		name, ok := s.Get(1).(lua.LString)
		return push(s, ok && name != "" && !strings.ContainsAny(string(name), ": \t\r\n"))
	},
	"get_last_index": func(s *sandbox.State) int {
		if i := strings.LastIndex(s.CheckString(1), s.CheckString(2)); i >= 0 {
			return push(s, i+1)
		}
		return pushNil(s)
	},
	"parse_addr": parseAddress,
	"dns_parse":  refuse("core.utils.dns_parse"),
}

// resolveVar takes (template, variables) and answers the text, nil and how many
// variables were there.
func resolveVar(s *sandbox.State) int {
	n := 0
	lookup := func(name string) expr.Value {
		text := lua.LVAsString(s.GetField(s.Get(2), name))
		if text != "" {
			n++
		}
		return expr.Value{Text: text, Present: text != ""}
	}
	if s.Get(2).Type() != lua.LTTable {
		lookup = callOf(s).c.Lookup()
	}
	text := plugin.CompileTemplate(textArg(s, 1)).Expand(lookup)
	push(s, text)
	pushNil(s)
	return 2 + push(s, n)
}

// parseAddress takes host:port and answers the two.
func parseAddress(s *sandbox.State) int {
	addr := s.CheckString(1)
	if at, err := netip.ParseAddrPort(addr); err == nil {
		push(s, at.Addr().String())
		return 1 + push(s, int(at.Port()))
	}
	host, port, ok := strings.Cut(addr, ":")
	push(s, host)
	if n := lua.LVAsNumber(lua.LString(port)); ok && n > 0 {
		s.Push(n)
		return 2
	}
	return 1 + pushNil(s)
}

// coreIP are the functions of core.ip.
var coreIP = map[string]luaFunc{
	"validate_cidr_or_ip": func(s *sandbox.State) int {
		_, ok := parsePrefix(s.CheckString(1))
		return push(s, ok)
	},
	"create_ip_matcher": func(s *sandbox.State) int {
		var prefixes []netip.Prefix
		list := s.CheckTable(1)
		for i := 1; i <= list.Len(); i++ {
			text := lua.LVAsString(list.RawGetInt(i))
			prefix, ok := parsePrefix(text)
			if !ok {
				pushNil(s)
				return 1 + push(s, "invalid ip address: "+text)
			}
			prefixes = append(prefixes, prefix)
		}
		t := s.NewTable()
		t.RawSetString("match", s.Register(func(s *sandbox.State) int {
			ip, err := netip.ParseAddr(textArg(s, 2))
			return push(s, err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) }))
		}))
		s.Push(t)
		return 1
	},
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, true
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, ip.BitLen()), true
}

// coreID are the functions of core.id.
var coreID = map[string]luaFunc{
	"get": func(s *sandbox.State) int { name, _ := os.Hostname(); return push(s, name) },
}

// corePool are the functions of core.tablepool: tables are made anew.
var corePool = map[string]luaFunc{
	"fetch":   func(s *sandbox.State) int { s.Push(s.NewTable()); return 1 },
	"release": func(*sandbox.State) int { return 0 },
}

// Bounds of core.lrucache in one state.
const (
	cacheCount   = 128
	cacheMost    = 512
	cacheSeconds = 60 * 60
)

// coreCache are the functions of core.lrucache.
var coreCache = map[string]luaFunc{"new": newCache}

// cached is a value of core.lrucache.
type cached struct {
	version, value lua.LValue
	until          time.Time
}

// newCache takes {count, ttl} and answers function(key, version, make, …), which
// answers what make has made for a key and version.
func newCache(s *sandbox.State) int {
	count, ttl := cacheCount, float64(cacheSeconds)
	if options, ok := s.Get(1).(*lua.LTable); ok {
		if n, ok := options.RawGetString("count").(lua.LNumber); ok {
			count = min(int(n), cacheMost)
		}
		if n, ok := options.RawGetString("ttl").(lua.LNumber); ok {
			ttl = min(float64(n), cacheSeconds)
		}
	}
	items := map[string]cached{}
	s.Push(s.Register(func(s *sandbox.State) int {
		key, version, now := textArg(s, 1), s.Get(2), time.Now()
		if item, ok := items[key]; ok && s.Equal(item.version, version) && now.Before(item.until) {
			s.Push(item.value)
			return 1
		}
		s.Remove(1)
		s.Remove(1)
		s.Call(s.GetTop()-1, 2)
		if v := s.Get(-2); v != lua.LNil {
			if len(items) >= count {
				clear(items)
			}
			items[key] = cached{version, v, now.Add(time.Duration(ttl * float64(time.Second)))}
		}
		return 2
	}))
	return 1
}
