package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/internal/jsonvalue"
)

func FuzzSetAt(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"a":{"b":1}}`, "a/b", `2`}, {`{"a":1}`, "a/b/c", `null`}, {`{}`, "x/y/z", `{"q":[]}`}, {`{"a":[]}`, "a/0", `1`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, sub, body string) {
		doc := object([]byte(text))
		v, err := jsonvalue.Decode([]byte(body))
		path := split(sub)
		if doc == nil || err != nil || len(path) == 0 {
			t.Skip("not an input of this kind")
		}
		if !setAt(doc, path, v) {
			return
		}
		var at any = doc
		for _, name := range path {
			at = at.(map[string]any)[name]
		}
		if diff := cmp.Diff(v, at); diff != "" {
			t.Errorf("%s at %s: %s", body, strings.Join(path, "/"), diff)
		}
	})
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"a":{"b":1},"c":[1]}`, `{"a":{"b":null,"d":{"e":null}},"c":null}`)
	f.Fuzz(func(t *testing.T, text, patch string) {
		doc, p := object([]byte(text)), object([]byte(patch))
		if doc == nil || p == nil {
			t.Skip("not an input of this kind")
		}
		merge(doc, p)
		once, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		merge(doc, p)
		if twice, _ := json.Marshal(doc); string(once) != string(twice) {
			t.Errorf("merging %s again turned %s into %s", patch, once, twice)
		}
	})
}
