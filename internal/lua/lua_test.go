package lua

import (
	"errors"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// eval runs the body of a function and answers its first result as text.
func eval(t testing.TB, body string) (string, error) {
	t.Helper()
	f, err := Compile("return function() "+body+" end", "test", nil)
	if err != nil {
		return "", err
	}
	got := ""
	err = f.Call(nil, nil, func(_ *State, values []lua.LValue) {
		parts := make([]string, len(values))
		for i, v := range values {
			parts[i] = v.String()
		}
		got = strings.Join(parts, ",")
	})
	return got, err
}

func TestResults(t *testing.T) {
	for body, want := range map[string]string{
		`return 1 + 2`:           "3",
		`return "a" .. 1 .. "b"`: "a1b",
		`local function f() return "x", "y" end return "a" .. f()`:                                              "ax",
		`local t = setmetatable({}, {__concat = function(a, b) return "joined" end}) return t .. "x", "x" .. t`: "joined,joined",
		`return #("ab" .. ("c"):rep(3))`:                                                                        "5",
		`return ("hello world"):find("o w")`:                                                                    "5,7",
		`return ("hello"):find("l+")`:                                                                           "3,4",
		`return ("hello"):find("(l)(l)")`:                                                                       "3,4,l,l",
		`return ("key = value"):match("^(%w+)%s*=%s*(%w+)$")`:                                                   "key,value",
		`return ("hello"):match("xyz")`:                                                                         "nil",
		`return ("a.b"):find(".", 1, true)`:                                                                     "2,2",
		`return ("abc"):gsub("%w", "%0%0")`:                                                                     "aabbcc,3",
		`return ("abc"):gsub("", "-")`:                                                                          "-a-b-c-,4",
		`return ("hello world"):gsub("o", {o = "0"})`:                                                           "hell0 w0rld,2",
		`return ("abc"):gsub("b", function() return nil end)`:                                                   "abc,1",
		`return ("abc abc"):gsub("^abc", "x")`:                                                                  "x abc,1",
		`return ("THE (quick) fox"):find("%((%a+)%)")`:                                                          "5,11,quick",
		`return ("f(a(b)c)d"):match("%b()")`:                                                                    "(a(b)c)",
		`return ("THE (quick) fox"):gsub("%f[%a]%a+", "w")`:                                                     "w (w) w,3",
		`return ("aa bb"):match("(%w)%1 (%w)%2")`:                                                               "a,b",
		`return ("abc"):match("()b()")`:                                                                         "2,3",
		`return ("[x]"):match("[]]")`:                                                                           "]",
		`local s = "" for k in ("a,b,c"):gmatch("%a") do s = s .. k end return s`:                               "abc",
		`local t = {} for i = 1, 6e4 do t[i] = "x" end return #table.concat(t), table.concat({1, 2, 3}, "+", 2, 3), table.concat({})`: "60000,2+3,",
		`return table.concat({1, 2, 3}, "-")`:                                                   "1-2-3",
		`return ("x"):upper(), ("%5.1f"):format(3.14159)`:                                       "X,  3.1",
		`return type(os.time()), type(math.random())`:                                           "number,number",
		`return os.date("!%Y-%m-%d %H:%M:%S", 0), os.date("!*t", 86400).day, os.difftime(5, 3)`: "1970-01-01 00:00:00,2,2",
		`return ("%-5s|%05.1f"):format("a", 2)`:                                                 "a    |002.0",
		`return pcall(function() error("no") end)`:                                              "false,[string",
	} {
		got, err := eval(t, body)
		if strings.HasPrefix(want, "false,") {
			if err != nil || !strings.HasPrefix(got, "false,") {
				t.Errorf("%s: %q, %v", body, got, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", body, got, err, want)
		}
	}
}

func TestNothingUnsafeIsThere(t *testing.T) {
	for _, name := range []string{
		"io", "os.execute", "os.getenv", "os.exit", "os.remove", "os.rename", "os.tmpname", "os.setenv", "os.setlocale", "load", "loadstring", "loadfile", "dofile", "require", "module", "debug",
		"coroutine", "package", "getfenv", "setfenv", "collectgarbage", "string.dump", "print", "newproxy",
	} {
		if got, err := eval(t, "return type("+name+")"); err != nil || got != "nil" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestBounds(t *testing.T) {
	for body, want := range map[string]string{
		`while true do end`: "too m",
		`while true do pcall(function() while true do end end) end`: "too m",
		`return ("%999999d"):rep(1000):format(1)`:                   "width or precision too long",
		`return ("%.100f"):format(1)`:                               "width or precision too long",
		`local s = "x" while true do s = s .. s end`:                "string is too long",
		`return ("x"):rep(1e9)`:                                     "string is too long",
		`return ("x"):rep(1e6):gsub("x", ("y"):rep(1000))`:          "string is too long",
		`return table.concat({("x"):rep(4e6), ("x"):rep(4e6)})`:     "string is too long",
		`return ("a"):rep(5000):find(("a-"):rep(20) .. "b")`:        "pattern",
		`return ("a"):rep(5000):find(("(a)"):rep(40))`:              "too many captures",
		`local function f() return f() + 1 end return f()`:          "stack overflow",
		`return table.concat({1, {}})`:                              "invalid value (table) at index 2 in table for concat",
		`return unpack({}, 1, 1e7)`:                                 "too many results",
		`local t = {} for i = 1, 1e9 do t[i] = {[60000] = 1} end`:   "too m",
	} {
		if _, err := eval(t, body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func TestTimeIsBounded(t *testing.T) {
	b := &budget{}
	b.begin()
	for range clockEvery {
		b.Done()
	}
	if b.until.IsZero() || b.Err() != nil {
		t.Fatalf("the clock was not looked at: %v", b.Err())
	}
	b.until = time.Now().Add(-time.Second)
	for range clockEvery {
		b.Done()
	}
	if b.Err() != errTime {
		t.Errorf("got %v", b.Err())
	}
}

func TestCompileErrors(t *testing.T) {
	for source, want := range map[string]string{
		"functon x":                   `[string "functon x"]:1: '=' expected near 'x'`,
		"ngx.log 12":                  `[string "ngx.log 12"]:1: '=' expected near '12'`,
		"do\n  if a then foo bar end": `[string "do..."]:2: '=' expected near 'bar'`,
		"x = = 1":                     `[string "x = = 1"]:1: syntax error near '='`,
		"do then end":                 `[string "do then end"]:1: syntax error near 'then'`,
		"return 1":                    "only accept Lua function, the input code type is number",
		"error('broken')":             "test:1: broken",
		"return function(":            `[string "return function("]:1: syntax error near '<eof>'`,
	} {
		if _, err := Compile(source, "test", nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

// A source that is nested deep must not exhaust the stack of the process.
func TestNestingIsBounded(t *testing.T) {
	for _, deep := range []string{
		strings.Repeat("{", 2e4) + strings.Repeat("}", 2e4), strings.Repeat("not ", 2e4) + "1", "1" + strings.Repeat("^1", 2e4), "x" + strings.Repeat("()", 2e4),
	} {
		if _, err := Compile("return function() return "+deep+" end", "test", nil); err == nil {
			t.Errorf("%s…: no error", deep[:8])
		}
	}
	if _, err := eval(t, "return "+strings.Repeat("'x' .. ", 300)+"'y'"); err == nil || !strings.Contains(err.Error(), "register overflow") {
		t.Errorf("got %v", err)
	}
	if got, err := eval(t, "return 1"+strings.Repeat(" + 1", 1000)+", #("+strings.Repeat("'x' .. ", 100)+"'y')"); err != nil || got != "1001,101" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRaiseEndsTheCall(t *testing.T) {
	stop := errors.New("stop")
	f, err := Compile("return function(how) if how then pcall(exit) else xpcall(exit, function() return 1 end) end error('went on') end", "test", nil, func(s *State) {
		s.SetGlobal("exit", s.Register(func(s *State) int {
			s.Raise(stop)
			return 0
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []lua.LBool{true, false} {
		if err := f.Call(nil, func(*State) []lua.LValue { return []lua.LValue{how} }, nil); err != stop {
			t.Errorf("got %v", err)
		}
	}
}

// What a source keeps in variables of its own lives on.
func TestStatesAreKept(t *testing.T) {
	f, err := Compile("local n = 0 return function() n = n + 1 return n end", "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for range 3 {
		if err := f.Call(nil, nil, func(_ *State, v []lua.LValue) { last = v[0].String() }); err != nil {
			t.Fatal(err)
		}
	}
	if last != "3" {
		t.Errorf("got %s", last)
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"(%w+)=(%w+)", "[^%s]-$", "%b()", "%f[%a]", "(()", "[", "%", "(.-)%1"} {
		f.Add("some text (with) parts = x", seed)
	}
	f.Fuzz(func(t *testing.T, src, pat string) {
		if len(src) > 200 || len(pat) > 50 {
			return
		}
		fn, err := Compile("return function(s, p) return s:gsub(p, '%0') end", "fuzz", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = fn.Call(nil, func(*State) []lua.LValue { return []lua.LValue{lua.LString(src), lua.LString(pat)} }, nil)
	})
}
