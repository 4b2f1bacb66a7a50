package snippet

import (
	"time"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
)

// keptDicts is how many tables of dictionaries a state keeps: their names may come from
// requests.
const keptDicts = 64

// dictsTable makes ngx.shared.
func dictsTable(s *sandbox.State) lua.LValue {
	n := 0
	return s.Lazy(func(s *sandbox.State, name string) (lua.LValue, bool) {
		n++
		return dictTable(s, name), n <= keptDicts
	})
}

// dictTable makes ngx.shared.NAME.
func dictTable(s *sandbox.State, dict string) lua.LValue {
	return s.Lazy(func(s *sandbox.State, method string) (lua.LValue, bool) {
		fn := dictFunctions[method]
		if fn == nil {
			return nil, false
		}
		return s.Register(func(s *sandbox.State) int {
			key, d := dictKey{dict, textArg(s, 2)}, callHost(s).shared // ahead of the lock: a key may be what calls functions
			d.mu.Lock()
			defer d.mu.Unlock()
			return fn(s, d, key)
		}), true
	})
}

// dictFunctions are the methods of dictionaries: the first argument is the dictionary,
// the second mostly a key.
var dictFunctions = map[string]func(s *sandbox.State, d *SharedData, key dictKey) int{
	"get": func(s *sandbox.State, d *SharedData, key dictKey) int {
		item := d.get(key)
		if item == nil {
			return pushNil(s)
		}
		push(s, item.value)
		if item.flags != 0 {
			return 1 + push(s, item.flags)
		}
		return 1
	},
	"get_stale": func(s *sandbox.State, d *SharedData, key dictKey) int {
		item := d.get(key)
		if item == nil {
			return pushNil(s)
		}
		push(s, item.value)
		push(s, item.flags)
		return 2 + push(s, false)
	},
	"set":      func(s *sandbox.State, d *SharedData, key dictKey) int { return storeItem(s, d, key) },
	"safe_set": func(s *sandbox.State, d *SharedData, key dictKey) int { return storeItem(s, d, key) },
	"add": func(s *sandbox.State, d *SharedData, key dictKey) int {
		if d.get(key) != nil {
			return refuseItem(s, "exists")
		}
		return storeItem(s, d, key)
	},
	"safe_add": func(s *sandbox.State, d *SharedData, key dictKey) int {
		if d.get(key) != nil {
			return refuseItem(s, "exists")
		}
		return storeItem(s, d, key)
	},
	"replace": func(s *sandbox.State, d *SharedData, key dictKey) int {
		if d.get(key) == nil {
			return refuseItem(s, "not found")
		}
		return storeItem(s, d, key)
	},
	"delete": func(s *sandbox.State, d *SharedData, key dictKey) int {
		if e := d.items[key]; e != nil {
			d.remove(e)
		}
		return push(s, true)
	},
	"incr":   increment,
	"ttl":    timeToLive,
	"expire": expire,
	"flush_all": func(s *sandbox.State, d *SharedData, key dictKey) int {
		d.each(key.dict, func(item *dictItem) { d.remove(d.items[item.dictKey]) })
		return 0
	},
	"flush_expired": func(s *sandbox.State, d *SharedData, key dictKey) int {
		n := 0
		d.each(key.dict, func(item *dictItem) {
			if d.expired(item) {
				d.remove(d.items[item.dictKey])
				n++
			}
		})
		return push(s, n)
	},
	"get_keys":   dictKeys,
	"capacity":   func(s *sandbox.State, _ *SharedData, _ dictKey) int { return push(s, maxShared) },
	"free_space": func(s *sandbox.State, d *SharedData, _ dictKey) int { return push(s, maxShared-d.size) },
}

// each calls fn for every item of a dictionary, which may remove it.
func (d *SharedData) each(dict string, fn func(item *dictItem)) {
	for e := d.used.Front(); e != nil; {
		item := e.Value.(*dictItem)
		if e = e.Next(); item.dict == dict {
			fn(item)
		}
	}
}

func refuseItem(s *sandbox.State, why string) int {
	push(s, false)
	push(s, why)
	return 2 + push(s, false)
}

// storeItem takes (dict, key, value, seconds, flags); nil removes.
func storeItem(s *sandbox.State, d *SharedData, key dictKey) int {
	var value any
	switch v := s.Get(3).(type) {
	case *lua.LNilType:
		if e := d.items[key]; e != nil {
			d.remove(e)
		}
		return push(s, true)
	case lua.LString:
		value = string(v)
	case lua.LNumber:
		value = float64(v)
	case lua.LBool:
		value = bool(v)
	default:
		return refuseItem(s, "bad value type")
	}
	item := &dictItem{dictKey: key, value: value, flags: s.OptInt(5, 0), until: d.until(float64(s.OptNumber(4, 0)))}
	if item.size() > maxShared/2 {
		return refuseItem(s, "no memory")
	}
	forcible := d.put(item)
	push(s, true)
	pushNil(s)
	return 2 + push(s, forcible)
}

// increment takes (dict, key, n, init, seconds of what init makes).
func increment(s *sandbox.State, d *SharedData, key dictKey) int {
	by, item := float64(s.CheckNumber(3)), d.get(key)
	if item == nil {
		init, ok := s.Get(4).(lua.LNumber)
		if !ok {
			pushNil(s)
			return 1 + push(s, "not found")
		}
		forcible := d.put(&dictItem{dictKey: key, value: float64(init) + by, until: d.until(float64(s.OptNumber(5, 0)))})
		push(s, float64(init)+by)
		pushNil(s)
		return 2 + push(s, forcible)
	}
	n, ok := item.value.(float64)
	if !ok {
		pushNil(s)
		return 1 + push(s, "not a number")
	}
	item.value = n + by
	return push(s, item.value)
}

func timeToLive(s *sandbox.State, d *SharedData, key dictKey) int {
	item := d.get(key)
	if item == nil {
		pushNil(s)
		return 1 + push(s, "not found")
	}
	if item.until.IsZero() {
		return push(s, 0)
	}
	return push(s, float64(item.until.Sub(d.now()).Round(time.Millisecond))/float64(time.Second))
}

func expire(s *sandbox.State, d *SharedData, key dictKey) int {
	item := d.get(key)
	if item == nil {
		pushNil(s)
		return 1 + push(s, "not found")
	}
	item.until = d.until(float64(s.CheckNumber(3)))
	return push(s, true)
}

// dictKeys takes (dict, most); 0 is all, as far as an answer may be long.
func dictKeys(s *sandbox.State, d *SharedData, key dictKey) int {
	most := s.OptInt(2, maxDictKeys)
	if most <= 0 || most > maxAllArgs {
		most = maxAllArgs
	}
	t := s.NewTable()
	d.each(key.dict, func(item *dictItem) {
		if t.Len() < most && !d.expired(item) {
			t.Append(lua.LString(item.key))
		}
	})
	s.Push(t)
	return 1
}
