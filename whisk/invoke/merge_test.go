package invoke

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/whisk"
)

func kv(key, value string) whisk.KeyValue {
	return whisk.KeyValue{Key: key, Value: json.RawMessage(value)}
}

func initKV(key, value string) whisk.KeyValue {
	return whisk.KeyValue{Key: key, Value: json.RawMessage(value), Init: true}
}

func TestMerge(t *testing.T) {
	for _, tc := range []struct {
		name           string
		inherited, own whisk.KeyValues
		payload, want  string
	}{
		{"nothing", nil, nil, ``, `{}`},
		{"payload only", nil, nil, ` {"a": 1} `, `{"a": 1}`},
		{"array", nil, whisk.KeyValues{kv("a", "1")}, `[1]`, `[1]`},
		{"stored only", whisk.KeyValues{kv("a", "1"), kv("b", "2")}, whisk.KeyValues{kv("b", `"own"`), kv("c", "3")}, ``, `{"a":1,"b":"own","c":3}`},
		{"empty payload", nil, whisk.KeyValues{kv("a", "1")}, `{ }`, `{"a":1}`},
		{"no collision", nil, whisk.KeyValues{kv("a", "1")}, `{"b":2}`, `{"a":1,"b":2}`},
		{"collision", nil, whisk.KeyValues{kv("a", "1"), kv("b", "2")}, `{"a":{"b":3}}`, `{"b":2,"a":{"b":3}}`},
		{"all overridden", nil, whisk.KeyValues{kv("a", "1")}, `{"a":0}`, `{"a":0}`},
		{"escaped key", nil, whisk.KeyValues{kv("a", "1"), kv("é", "2")}, `{"\u0061":0,"\u00e9":3}`, `{"\u0061":0,"\u00e9":3}`},
		{"escaped stored key", nil, whisk.KeyValues{kv(`"<`, "1")}, `{"\"<":0}`, `{"\"<":0}`},
		{"nested key is no collision", nil, whisk.KeyValues{kv("a", "1")}, `{"b":{"a":2},"c":"{\"a\":"}`, `{"a":1,"b":{"a":2},"c":"{\"a\":"}`},
		{"no value", nil, whisk.KeyValues{{Key: "a"}}, ``, `{"a":null}`},
		{"init is no argument", nil, whisk.KeyValues{initKV("a", "1"), kv("b", "2")}, `{}`, `{"b":2}`},
		{"own argument over inherited init", whisk.KeyValues{initKV("a", "1")}, whisk.KeyValues{kv("a", "2")}, ``, `{"a":2}`},
		{"own init over inherited argument", whisk.KeyValues{kv("a", "1")}, whisk.KeyValues{initKV("a", "2")}, ``, `{}`},
		{"payload may name an init parameter", nil, whisk.KeyValues{initKV("a", "1")}, `{"a":5}`, `{"a":5}`},
	} {
		if got := string(encodeParams(tc.inherited, tc.own).under(json.RawMessage(tc.payload))); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestInitEnvironment(t *testing.T) {
	p := encodeParams(nil, whisk.KeyValues{
		initKV("nil", "null"), initKV("text", `"a\nb"`), initKV("number", "1.50"), initKV("bool", "true"),
		initKV("object", `{ "a" : [ 1, 2 ] }`), initKV("none", ""),
	})
	got := map[string]string{}
	for _, e := range p.env {
		got[e.name] = e.text
	}
	want := map[string]string{"nil": "", "text": "a\nb", "number": "1.50", "bool": "true", "object": `{"a":[1,2]}`, "none": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Encoded parameters are used again for equal lists, and only for those.
func TestParamsAreCached(t *testing.T) {
	g := &group{}
	a := action("x")
	a.Parameters = whisk.KeyValues{kv("a", "1")}
	c := &Call{Action: a, Inherited: whisk.KeyValues{kv("b", "2")}}
	first := g.paramsOf(c)
	equal := *a
	equal.Parameters = whisk.KeyValues{kv("a", "1")}
	if g.paramsOf(&Call{Action: &equal, Inherited: c.Inherited}) != first {
		t.Error("equal lists were encoded again")
	}
	for name, other := range map[string]whisk.KeyValues{
		"value": {kv("b", "3")}, "key": {kv("c", "2")}, "init": {initKV("b", "2")}, "none": nil, "more": {kv("b", "2"), kv("c", "3")},
	} {
		changed := &Call{Action: a, Inherited: other}
		if got, want := string(g.paramsOf(changed).under(nil)), string(encodeParams(other, a.Parameters).object); got != want {
			t.Errorf("changed %s: got %s, want %s", name, got, want)
		}
		g.paramsOf(c)
	}
}

// The merge of bytes means what a merge of decoded objects means.
func FuzzMerge(f *testing.F) {
	for _, s := range [][3]string{
		{`{"a":1}`, `{"b":2}`, `{"a":{"b":[1,"]}"]},"c":null}`},
		{`{}`, `{"a\n":1}`, `{"a\u000a":2}`},
		{`{"x":1}`, `{"x":2}`, ` { "x" : "\\\"" , "y":-1.5e3 } `},
		{`{"a":1}`, `{}`, `{"":"","a":[],"a":{}}`},
		{`{"\u2028":true}`, `{}`, "{\"\u2028\":false}"},
		{`{"\ufffd":true}`, `{}`, "{\"\xff\":1}"},
	} {
		f.Add([]byte(s[0]), []byte(s[1]), []byte(s[2]))
	}
	f.Fuzz(func(t *testing.T, inherited, own, payload []byte) {
		want := map[string]json.RawMessage{}
		var lists [2]whisk.KeyValues
		for i, object := range [][]byte{inherited, own} {
			var m map[string]json.RawMessage
			if json.Unmarshal(object, &m) != nil {
				t.Skip("not an input of this kind")
			}
			for k, v := range m {
				lists[i] = append(lists[i], whisk.KeyValue{Key: k, Value: v})
			}
			maps.Copy(want, m)
		}
		var m map[string]json.RawMessage
		if json.Unmarshal(payload, &m) != nil || m == nil {
			t.Skip("not an input of this kind")
		}
		maps.Copy(want, m)
		merged := encodeParams(lists[0], lists[1]).under(payload)
		var got map[string]json.RawMessage
		if err := json.Unmarshal(merged, &got); err != nil {
			t.Fatalf("%s: %v", merged, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", merged, diff)
		}
		stored := 0
		for it := (members{rest: merged}); it.next(); {
			stored++
		}
		if extra := stored - len(want); extra > countMembers(payload)-len(m) {
			t.Fatalf("%s names an overridden parameter", merged)
		}
	})
}

func countMembers(object []byte) (n int) {
	for m := (members{rest: object}); m.next(); n++ {
	}
	return n
}
