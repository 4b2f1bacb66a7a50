package lua

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// maxDepthOfValues bounds how deep tables are turned into values.
const maxDepthOfValues = 100

var (
	errDepth = errors.New("excessive nesting")
	errLong  = errors.New("value is too long")
)

// decodedSize is about how many bytes a byte of JSON may become as tables.
const decodedSize = 40

// null stands for JSON's null in a source.
type null struct{}

// Null answers the value of JSON's null.
func (s *State) Null() lua.LValue {
	const name = "\x00null"
	v := s.GetGlobal(name)
	if v == lua.LNil {
		v = &lua.LUserData{Value: null{}}
		s.SetGlobal(name, v)
	}
	return v
}

// arrayName is the global under which a state keeps what marks tables as lists. No
// source can name it.
const arrayName = "\x00array"

// ArrayMeta answers the metatable of tables that are lists in JSON, also empty ones.
func (s *State) ArrayMeta() *lua.LTable {
	meta, ok := s.GetGlobal(arrayName).(*lua.LTable)
	if !ok {
		meta = s.NewTable()
		meta.RawSetString(arrayName, lua.LTrue)
		s.SetGlobal(arrayName, meta)
	}
	return meta
}

// EmptyArray answers an empty list.
func (s *State) EmptyArray() *lua.LTable {
	t := s.NewTable()
	t.Metatable = s.ArrayMeta()
	return t
}

// isArray tells whether a table is marked as a list.
func isArray(t *lua.LTable) bool {
	meta, ok := t.Metatable.(*lua.LTable)
	return ok && meta.RawGetString(arrayName) == lua.LTrue
}

// Value makes a Lua value of what encoding/json decodes to, of texts and of numbers.
func (s *State) Value(v any) lua.LValue {
	switch v := v.(type) {
	case nil:
		return s.Null()
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case []byte:
		return lua.LString(v)
	case int:
		return lua.LNumber(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		t := s.CreateTable(len(v), 0)
		for _, item := range v {
			t.Append(s.Value(item))
		}
		t.Metatable = s.ArrayMeta()
		return t
	case map[string]any:
		t := s.CreateTable(0, len(v))
		for key, item := range v {
			t.RawSetString(key, s.Value(item))
		}
		return t
	}
	return lua.LNil
}

// GoValue is the reverse of Value: a table is a list if it has the keys 1 to n and
// no others. What JSON does not know, such as a function, is an error, and so is what
// would be longer than MaxString.
func GoValue(v lua.LValue) (any, error) { return (&reading{}).value(v, 0) }

// reading is how much has been read of a value: the length of its texts, and
// valueSize for each value.
type reading struct{ size int }

const valueSize = 16

func (r *reading) value(v lua.LValue, depth int) (any, error) {
	if depth > maxDepthOfValues {
		return nil, errDepth
	}
	if r.size += valueSize; r.size > MaxString {
		return nil, errLong
	}
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LString:
		r.size += len(v)
		return string(v), nil
	case lua.LNumber:
		return jsonNumber(float64(v))
	case *lua.LTable:
		return r.table(v, depth)
	case *lua.LUserData:
		if _, ok := v.Value.(null); ok {
			return nil, nil
		}
	}
	return nil, errors.New("type '" + v.Type().String() + "' is not supported by JSON")
}

// jsonNumber writes a number as lua-cjson does.
func jsonNumber(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("number is NaN or Infinity")
	}
	return json.Number(strconv.FormatFloat(f, 'g', 14, 64)), nil
}

func (r *reading) table(t *lua.LTable, depth int) (any, error) {
	n, entries := t.Len(), 0
	t.ForEach(func(_, _ lua.LValue) { entries++ })
	if n > 0 && entries == n || entries == 0 && isArray(t) {
		return r.list(t, n, depth)
	}
	object := make(map[string]any, entries)
	var failed error
	t.ForEach(func(key, value lua.LValue) {
		if failed != nil {
			return
		}
		name := lua.LVAsString(key)
		r.size += len(name)
		object[name], failed = r.value(value, depth+1)
	})
	return object, failed
}

func (r *reading) list(t *lua.LTable, n, depth int) (any, error) {
	list := make([]any, n)
	for i := range list {
		var err error
		if list[i], err = r.value(t.RawGetInt(i+1), depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// EncodeJSON writes a value as JSON.
func EncodeJSON(v lua.LValue) (string, error) {
	value, err := GoValue(v)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// DecodeJSON reads JSON.
func (s *State) DecodeJSON(text string) (lua.LValue, error) {
	s.Charge(len(text) * decodedSize)
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	return s.Value(v), nil
}
