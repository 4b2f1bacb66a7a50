package textkeys

import (
	"encoding/json"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]string{
		`{a: 1, b: [x, {200: ok, true: {1.5: y}}]}`: `{"a":1,"b":["x",{"200":"ok","true":{"1.5":"y"}}]}`,
		`[1: {a: null}]`: `[{"1":{"a":null}}]`,
		`5`:              `5`,
	} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(Of(v))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
}
