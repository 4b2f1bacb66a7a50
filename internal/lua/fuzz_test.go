package lua

import "testing"

// Any source ends within its budget, whatever it does.
func FuzzSource(f *testing.F) {
	for _, source := range []string{
		`return function() return ("x"):rep(1e9) end`, `return function() return f() end`, `return function() return pcall(error, {}) end`,
		`return function() return string.format("%99d", 1), ("a"):find("a?a?a") end`,
		`return function() local t = setmetatable({}, {__index = function(t, k) return k end}) return t.x end`,
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		fn, err := Compile(source, "fuzz", nil)
		if err != nil {
			return
		}
		_ = fn.Call(nil, nil, nil)
	})
}
