package document

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func variables(pairs ...string) Variables {
	return func(name string) (json.RawMessage, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return json.RawMessage(pairs[i+1]), true
			}
		}
		return nil, false
	}
}

func TestVariables(t *testing.T) {
	vars := variables("A", `"x"`, "B_2", `7`, "o", `{"k":[1]}`)
	for text, want := range map[string]string{
		`$A`: `"x"`, `${A}`: `"x"`, `a${A}b$B_2`: `"axb7"`, `$B_2`: `7`, `${o}`: `{"k":[1]}`, `v=${o}`: `"v={\"k\":[1]}"`,
		`$$A`: `"$A"`, `$${A}`: `"${A}"`, `$$`: `"$"`, `$$$A`: `"$x"`, `$`: `"$"`, `$1`: `"$1"`, `a$`: `"a$"`, `${}`: `"${}"`, `${A`: `"${A"`,
		`$NONE`: `""`, `a${NONE}b`: `"ab"`,
	} {
		r := NewReader("f")
		v := r.Of(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}).With(vars)
		if got := string(v.JSON()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if warned := len(r.Warnings) == 1; warned != strings.Contains(text, "NONE") {
			t.Errorf("%s: warnings %v", text, r.Warnings)
		}
	}
}

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: [x, 2.5, true, null, ~]":              `{"a":1,"b":["x",2.5,true,null,null]}`,
		"n: 12345678901234567890123\ne: 1e3":            `{"n":12345678901234567890123,"e":1e3}`,
		"a: 0x10\nb: 0o10\nc: 1_000":                    `{"a":16,"b":8,"c":1000}`,
		"base: &b {x: 1, y: 2}\nall: {<<: *b, y: 3}":    `{"base":{"x":1,"y":2},"all":{"y":3,"x":1}}`,
		"l: [&a {x: 1}, {z: 1}]\nm: {<<: [*a, {z: 2}]}": `{"l":[{"x":1},{"z":1}],"m":{"x":1,"z":2}}`,
		"d: 2020-01-01\nt: |\n  two\n  lines\n":         `{"d":"2020-01-01","t":"two\nlines\n"}`,
		"200: ok\ntrue: yes":                            `{"200":"ok","true":"yes"}`,
		`{"j": "\u00e9\/", "k": {}}`:                    `{"j":"é/","k":{}}`,
		"":                                              `null`,
	} {
		r := NewReader("f")
		if got := string(r.Parse([]byte(text)).JSON()); got != want || len(r.Problems) > 0 {
			t.Errorf("%s: %s, want %s; %v", text, got, want, r.Problems)
		}
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\na: 2":   `f:2: the key "a" is given twice`,
		"a: .inf":      `f:1: .inf cannot be told in JSON`,
		"a: &a [*a]":   `f:1: the document is nested too deeply`,
		"<<: 1":        `f:1: << needs a mapping`,
		"a: b: c":      `f: mapping values are not allowed in this context`,
		"a: 1\nb: \"x": `f:2: found unexpected end of stream`,
		bomb(20):       `f: the document has too many values, or too large ones`,
		strings.Repeat("[", 300) + "1" + strings.Repeat("]", 300): `f:1: the document is nested too deeply`,
	} {
		r := NewReader("f")
		r.Parse([]byte(text)).JSON()
		if err := r.Problems.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// bomb is a document that would be ten to the power of n values.
func bomb(n int) string {
	var b strings.Builder
	fmt.Fprintln(&b, "v0: &v0 [1]")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "v%d: &v%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*v%d, ", i-1), 10), ", "))
	}
	return b.String()
}

// A merge that would visit ten to the power of 30 mappings ends soon.
func TestMergeBomb(t *testing.T) {
	text := strings.ReplaceAll(strings.ReplaceAll(bomb(30), "[1]", "{a: 1}"), "[*", "{<<: [*")
	text = strings.ReplaceAll(text, "]\n", "]}\n")
	r := NewReader("f")
	r.Parse([]byte(text)).JSON()
	if err := r.Problems.Err(); err == nil || !strings.Contains(err.Error(), "too many values") {
		t.Errorf("%v", err)
	}
}

// What Node makes of JSON reads back as the same.
func TestNode(t *testing.T) {
	for _, raw := range []string{
		`{"b":1,"a":[true,null,"x",1.50,1e9,-3],"e":{},"l":[]}`, `"$A ${B} $$ $1"`, `"yes"`, `"1"`, `"null"`, `" lead"`, `"two\nlines\n"`,
		`"\u0001\u2028é😀"`, `12345678901234567890123`, `""`, `{"$K":"a: b # c"}`, `"0x1"`, `"~"`, `"<<"`, `{"<<":1}`, `"2020-01-01"`,
	} {
		node, err := Node(json.RawMessage(raw))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		text, err := yaml.Marshal(map[string]*yaml.Node{"k": node})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		r := NewReader("f")
		got := r.Parse(text).With(variables()).Get("k").JSON()
		if !sameJSON(got, json.RawMessage(raw)) || len(r.Problems) > 0 {
			t.Errorf("%s became %s by way of\n%s%v", raw, got, text, r.Problems)
		}
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	m, _ := json.Marshal(x)
	n, _ := json.Marshal(y)
	return string(m) == string(n)
}

// Whatever the bytes, reading ends, and what it answers is JSON.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{"a: [1, {b: $A}]", "&a [*a]", "<<: {a: 1}", bomb(5), "? [1]: 2", "!!binary aGk=", "!x y", "- - - 1", "a: !!int x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := NewReader("f")
		if got := r.Parse(text).With(variables("A", `1`)).JSON(); !json.Valid(got) {
			t.Errorf("%q: %s", text, got)
		}
	})
}
