package expr

import (
	"encoding/json"
	"testing"
)

// variables of the tests: n is 5, e is empty, l a list, a an address.
func variables(name string) Value {
	switch name {
	case "n":
		return Text("5")
	case "e":
		return Text("")
	case "s":
		return Text("Hello World")
	case "l":
		return Value{List: []string{"a", "1"}, Present: true}
	case "a":
		return Text("10.1.2.3")
	case "a6":
		return Text("::ffff:10.1.2.3")
	}
	return Value{}
}

func TestHolds(t *testing.T) {
	for text, want := range map[string]bool{
		``: true, `null`: true, `[]`: true,
		`[["n","==","5"]]`: true, `[["n","5"]]`: true, `[["n","==",5]]`: true, `[["n","==",5.0]]`: true, `[["n","==","5.0"]]`: false,
		`[["n","~=","5"]]`: false, `[["none","~=","1"]]`: true, `[["none","==",null]]`: true, `[["n","==",null]]`: false,
		`[["e","==",""]]`: true, `[["none","==",""]]`: false, `[["e","~=",null]]`: true,
		`[["n",">",4]]`: true, `[["n",">","4"]]`: true, `[["n",">","10"]]`: false, `[["n",">=",5]]`: true, `[["n","<",5]]`: false, `[["n","<=",5]]`: true,
		`[["none","<",5]]`: false, `[["s","<",5]]`: false, `[["n",">","x"]]`: false,
		`[["s","~~","^Hello"]]`: true, `[["s","~~","hello"]]`: false, `[["s","~*","hello"]]`: true, `[["s","~~","(?<!x)World"]]`: true, `[["none","~~",".*"]]`: false,
		`[["n","in",["1","5"]]]`: true, `[["n","in",[5]]]`: true, `[["n","in",[]]]`: false, `[["none","in",["1"]]]`: false,
		`[["n","!","in",["1","2"]]]`: true, `[["none","!","in",["1"]]]`: true, `[["n","!","==","5"]]`: false, `[["n","IN",["5"]]]`: true,
		`[["l","has","a"]]`: true, `[["l","has",1]]`: true, `[["l","has","b"]]`: false, `[["n","has","5"]]`: false,
		`[["a","ipmatch",["10.0.0.0/8"]]]`: true, `[["a","ipmatch",["10.1.2.4","10.1.2.3"]]]`: true, `[["a","ipmatch",["11.0.0.0/8"]]]`: false,
		`[["s","ipmatch",["10.0.0.0/8"]]]`: false, `[["a6","ipmatch",["10.0.0.0/8"]]]`: true, `[["a","!","ipmatch",["10.0.0.0/8"]]]`: false,
		`[["n","==","5"],["e","==",""]]`: true, `[["n","==","5"],["e","==","x"]]`: false,
		`["OR",["n","==","1"],["n","==","5"]]`: true, `["OR",["n","==","1"],["n","==","2"]]`: false,
		`["AND",["n","==","5"],["n","==","2"]]`:                                     false,
		`["!AND",["n","==","5"],["n","==","2"]]`:                                    true,
		`["!OR",["n","==","1"],["n","==","2"]]`:                                     true,
		`["!OR",["n","==","1"],["n","==","5"]]`:                                     false,
		`[["OR",["n","==","1"],["n","==","5"]],["e","==",""]]`:                      true,
		`["AND",["OR",["n","==","1"],["n","==","5"]],["!AND",["e","x"],["n","5"]]]`: true,
	} {
		e, err := Compile(json.RawMessage(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Holds(variables); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for text, want := range map[string]string{
		`["n","==","5"]`:                       "rule should be wrapped inside brackets",
		`{"n":"5"}`:                            "rule should be wrapped inside brackets",
		`"n"`:                                  "rule should be wrapped inside brackets",
		`[["n","=","5"]]`:                      "invalid operator '='",
		`["OR",["n","==","5"]]`:                "rule too short",
		`[["n"]]`:                              "invalid expression",
		`[[]]`:                                 "invalid expression",
		`[[5,"==","5"]]`:                       "invalid expression",
		`[["n","!","=="]]`:                     "bad 'not' expression",
		`[["n","in","==","5"]]`:                "bad 'not' expression",
		`[["a","ipmatch",["10.0.0.0/8","x"]]]`: "invalid ip address: x",
	} {
		if _, err := Compile(json.RawMessage(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestHoldsAllocatesNothing(t *testing.T) {
	e, err := Compile(json.RawMessage(`["OR",["n","==","1"],["s","~~","World$"],["a","ipmatch",["10.0.0.0/8"]]]`))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { e.Holds(variables) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(`[["n","!","in",["1","5"]]]`))
	f.Add([]byte(`["OR",["a","ipmatch",["::/0"]],["s","~*","a(b"]]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := Compile(text); err == nil {
			e.Holds(variables)
		}
	})
}
