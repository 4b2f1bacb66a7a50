package wsk

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJoinPairs(t *testing.T) {
	for name, test := range map[string]struct{ args, want []string }{
		"none":     {[]string{"action", "list"}, []string{"action", "list"}},
		"pair":     {[]string{"-p", "a", "-1", "x"}, []string{"-p", "a\x00-1", "x"}},
		"long":     {[]string{"--param", "a", "", "--annotation", "-p", "b"}, []string{"--param", "a\x00", "--annotation", "-p\x00b"}},
		"after --": {[]string{"--", "-p", "a"}, []string{"--", "-p", "a"}},
		"half":     {[]string{"action", "-p", "a"}, nil},
		"triggers": {[]string{"-F", "a", "b", "--trigger-param", "c", "d", "-f", "x"}, []string{"-F", "a\x00b", "--trigger-param", "c\x00d", "-f", "x"}},
		"file":     {[]string{"-P", "-p", "-A", "x"}, []string{"-P", "-p", "-A", "x"}},
		"no file":  {[]string{"action", "-P"}, nil},
		"missing":  {[]string{"action", "-a"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := JoinPairs(test.args)
			if (err != nil) != (test.want == nil) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is in a parameter file, what is sent is an object with its members.
func FuzzParameterFile(f *testing.F) {
	for _, text := range []string{`{}`, `{"a": 1, "b": [{"<": null}], "a": "x"}`, `[1]`, `{"a":1`, `{} {}`, "{\"\xff\":1}", `null`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l keyValues
		if l.addObject(text) != nil {
			return
		}
		var want, got map[string]any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("accepted %q: %v", text, err)
		}
		if err := json.Unmarshal(l.object(), &got); err != nil {
			t.Fatalf("%q became %q: %v", text, l.object(), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
