package plugin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
)

const probeSchema = `{"type":"object","encrypt_fields":["secret"],"required":["name"],"properties":{
	"name":{"type":"string"},
	"secret":{"type":"string"},
	"size":{"type":"integer","minimum":1,"default":7}}}`

// probe notes in the context's values that it ran.
type probe struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
	Size   int    `json:"size"`
	Fail   string `json:"fail"`
	Exit   int    `json:"exit"`
	Err    string `json:"err"`

	inited, closed bool
}

type noPhase struct{}

func init() {
	Register[probe]("probe", 10, probeSchema)
	Register[probe]("probe-low", -10, probeSchema, WithVersion("1.2"),
		AsAuth[struct{}](`{"type":"object","encrypt_fields":["key"]}`, "key"), AsMetadata[struct{}](`{"type":"object"}`))
	Register[probe]("probe-same", 10, probeSchema)
}

func TestNamesAreSortedByPriority(t *testing.T) {
	want := []string{"probe", "probe-same", "probe-low"}
	if diff := cmp.Diff(want, Names()); diff != "" {
		t.Error(diff)
	}
}

func TestType(t *testing.T) {
	low, ok := Lookup("probe-low")
	if !ok {
		t.Fatal("not found")
	}
	if low.Version != "1.2" || low.Priority != -10 || low.MetadataSchema != `{"type":"object"}` {
		t.Errorf("got %+v", low)
	}
	if diff := cmp.Diff([]string{"secret", "key"}, low.EncryptFields); diff != "" {
		t.Error(diff)
	}
	plain, _ := Lookup("probe")
	if plain.Version != "0.1" {
		t.Errorf("default version %q", plain.Version)
	}
	if gjson.Get(plain.Schema, `\$comment`).String() != "this is a mark for our injected plugin schema" {
		t.Error("the schema lacks the mark of the injection")
	}
	if !gjson.Get(plain.Schema, "properties._meta.properties.error_response").Exists() {
		t.Error("the schema lacks _meta")
	}
	if _, ok := Lookup("nope"); ok {
		t.Error("found a plugin that does not exist")
	}
}

func TestRegisterPanics(t *testing.T) {
	cases := map[string]struct {
		register func()
		want     string
	}{
		"duplicate":    {func() { Register[probe]("probe", 1, probeSchema) }, "plugin probe: registered twice"},
		"not JSON":     {func() { Register[probe]("x", 1, `{`) }, "plugin x: the schema is not JSON"},
		"bad consumer": {func() { Register[probe]("x", 1, `{}`, AsAuth[struct{}](`{"type":`, "key")) }, "plugin x: a schema is not JSON"},
		"no phase":     {func() { Register[noPhase]("x", 1, `{}`) }, "plugin x: *plugin.noPhase implements no phase"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			defer func() {
				got, _ := recover().(string)
				if !strings.HasPrefix(got, tc.want) {
					t.Errorf("panic %q, want %q", got, tc.want)
				}
				if _, ok := Lookup("x"); ok {
					t.Error("registered all the same")
				}
			}()
			tc.register()
		})
	}
}

func TestCheck(t *testing.T) {
	cases := []struct{ conf, want string }{
		{`{"name":"a"}`, ""},
		{`{"name":"a","unknown":1}`, ""},
		{`{"name":"a","size":2.0}`, ""},
		{`{"name":"a","SIZE":"not for us"}`, ""},
		{`{"name":"a","_meta":{"disable":true,"priority":5,"error_response":{"a":1}}}`, ""},
		{`{"name":"a","_meta":{"error_response":"text"}}`, ""},
		{`{}`, `property "name" is required`},
		{`{"name":1}`, `property "name" validation failed: wrong type: expected string, got number`},
		{`{"name":"a","size":0}`, `property "size" validation failed: expected 0 to be at least 1`},
		{`5`, `wrong type: expected object, got number`},
		{`{"name":"a","_meta":{"disable":1}}`, `property "_meta" validation failed: property "disable" validation failed: wrong type: expected boolean, got number`},
		{`{"name":"a","_meta":{"other":1}}`, `property "_meta" validation failed: additional properties forbidden, found other`},
		{`{"name":"a","_meta":{"filter":[["arg_a","==","1"]]}}`, ""},
		{`{"name":"a","_meta":{"filter":["arg_a","==","1"]}}`, `failed to validate the 'vars' expression: rule should be wrapped inside brackets`},
		{`{"name":"a","fail":"refused by the plugin"}`, "refused by the plugin"},
	}
	typ, _ := Lookup("probe")
	for _, tc := range cases {
		got := ""
		if err := typ.Check(json.RawMessage(tc.conf)); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.conf, got, tc.want)
		}
	}
	for _, bad := range []string{``, `{`, `{} {}`} {
		if err := typ.Check(json.RawMessage(bad)); err == nil || !strings.HasPrefix(err.Error(), "not valid JSON") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestMisspeltAttributesAreNotTaken(t *testing.T) {
	typ, _ := Lookup("probe")
	p, _, err := typ.load(json.RawMessage(`{"name":"a","SIZE":-3,"Secret":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(*probe); got.Size != 7 || got.Secret != "" {
		t.Errorf("got %+v", got)
	}
}
