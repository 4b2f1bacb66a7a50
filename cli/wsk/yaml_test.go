package wsk

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestYAMLToJSON(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: [x, true, null, 1.5]":                     `{"a":1,"b":["x",true,null,1.5]}`,
		"responses: {200: {description: fine}, default: x}": `{"responses":{"200":{"description":"fine"},"default":"x"}}`,
		"version: 2026-08-05":                               `{"version":"2026-08-05"}`,
		"base: &b {x: 1}\nother: *b":                        `{"base":{"x":1},"other":{"x":1}}`,
		"1: {true: {2.5: a}}":                               `{"1":{"true":{"2.5":"a"}}}`,
	} {
		got, err := yamlToJSON([]byte(text))
		if err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"a: [", "\tx", "a: &a [*a, *a]"} {
		if got, err := yamlToJSON([]byte(text)); err == nil {
			t.Errorf("%q: got %s", text, got)
		}
	}
}

// Aliases of aliases may not grow without bound.
func TestYAMLBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		n, m := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("a" + m + ": &a" + m + " [" + strings.Repeat("*a"+n+", ", 9) + "*a" + n + "]\n")
	}
	if _, err := yamlToJSON([]byte(b.String())); err == nil {
		t.Error("ten to the tenth members were accepted")
	}
}

// What comes out of a JSON document printed as YAML is the document.
func TestYAMLOfJSON(t *testing.T) {
	for _, document := range []string{
		`{"a":"2.0","b":2.0,"c":"yes","d":"","e":"x: y","f":[],"g":{},"h":"a\nb","i":"\ud83d\ude00","j":null,"k":"null","l":"2026-08-05"}`,
		`{"/a/{id}":{"get":{"responses":{"200":{"description":"<&>"}}}}}`,
	} {
		var out bytes.Buffer
		a := &app{Env: Env{Out: &out}}
		if err := a.yaml(json.RawMessage(document)); err != nil {
			t.Fatal(err)
		}
		back, err := yamlToJSON(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if json.Unmarshal([]byte(document), &want) != nil || json.Unmarshal(back, &got) != nil {
			t.Fatalf("%s became %s", document, back)
		}
		if w, g := encode(want), encode(got); !bytes.Equal(w, g) {
			t.Errorf("got  %s\nwant %s\nas\n%s", g, w, out.String())
		}
	}
}

func FuzzYAMLToJSON(f *testing.F) {
	f.Add([]byte("a: &a [1, 2.5, ~]\nb: *a\n? [x]\n: y\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := yamlToJSON(text); err == nil && !json.Valid(got) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
