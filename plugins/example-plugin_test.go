package plugins

import (
	"encoding/json"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestExamplePlugin(t *testing.T) {
	checkPriority(t, "example-plugin", 0)
	checkConfs(t, "example-plugin", []confCase{
		{`{"i":1,"s":"s","t":[1]}`, ""},
		{`{"i":0.5,"other":true}`, ""},
		{`{"s":"s","t":[]}`, `property "i" is required`},
		{`{"i":-1}`, `property "i" validation failed: expected -1 to be at least 0`},
		{`{"i":"1"}`, `property "i" validation failed: wrong type: expected number, got string`},
		{`{"i":1,"s":2}`, `property "s" validation failed: wrong type: expected string, got number`},
		{`{"i":1,"t":[]}`, `property "t" validation failed: expect array to have at least 1 items`},
		{`{"i":1,"port":"80"}`, `property "port" validation failed: wrong type: expected integer, got string`},
	})
	typ, _ := plugin.Lookup("example-plugin")
	for conf, want := range map[string]string{
		`{"ikey":1,"skey":"v"}`: "", `{"skey":"v"}`: `property "ikey" is required`, `{"ikey":-1,"skey":"v"}`: `property "ikey" validation failed: expected -1 to be at least 0`,
	} {
		_, err := typ.LoadMetadata(json.RawMessage(conf))
		if got := errText(err); got != want {
			t.Errorf("metadata %s: %q, want %q", conf, got, want)
		}
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"example-plugin":{"i":1}}`)
	if res := plugintest.Run(chain, request("GET /")); res.Status != 0 || res.Err != nil {
		t.Errorf("got %+v", res)
	}
	if _, err := plugin.Compile(map[string]json.RawMessage{"example-plugin": json.RawMessage(`{"i":1,"ip":"127.0.0.1","port":1}`)}, plugintest.Env(t)); err == nil {
		t.Error("a node without anything that calls it was accepted")
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
