package manifest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"millrace/cli/deploy/document"
	"millrace/whisk"
)

// grammar are the keys of an input that is more than its value.
var grammar = []string{"type", "value", "default", "description", "required", "status", "schema", "properties"}

// isGrammar tells such an input from a value that is an object.
func isGrammar(v document.Value) bool {
	members := v.Members()
	known := func(m document.Member) bool { return slices.Contains(grammar, m.Key) }
	return len(members) > 0 && !slices.ContainsFunc(members, func(m document.Member) bool { return !known(m) })
}

// inputs are the parameters that inputs: stands for. Values of the deployment file
// go before those of the manifest, and those of the command line before both.
func (c *compiler) inputs(v document.Value, deployed document.Value, given whisk.KeyValues) whisk.KeyValues {
	over := whisk.KeyValues{}
	for _, m := range deployed.Members() {
		over = over.With(m.Key, value(m.Value))
	}
	var out whisk.KeyValues
	for _, m := range v.Members() {
		outside := over.Find(m.Key)
		if g := given.Find(m.Key); g != nil {
			outside = g
		}
		out = append(out, whisk.KeyValue{Key: m.Key, Value: input(m.Key, m.Value, outside)})
	}
	for _, kv := range over {
		if v := given.Find(kv.Key); v != nil {
			kv.Value = v
		}
		if out.Find(kv.Key) == nil {
			out = append(out, kv)
		}
	}
	return out
}

// value is an input of the deployment file.
func value(v document.Value) json.RawMessage { return input("", v, nil) }

// input resolves one input: the value from outside, else its own, else its
// default, else the empty value of its type.
func input(name string, v document.Value, outside json.RawMessage) json.RawMessage {
	if !v.IsMap() || !isGrammar(v) {
		switch {
		case outside != nil:
			return outside
		case v.IsScalar() && isType(v.Text()):
			return emptyOf(v.Text()) // name: string declares the type only
		}
		return v.JSON()
	}
	kind := strings.ToLower(v.Get("type").Text())
	if kind != "" && !isType(kind) {
		v.Get("type").Fail("%q is no type of an input; the types are %s", kind, strings.Join(types, ", "))
		kind = ""
	}
	raw := outside
	for _, key := range []string{"value", "default"} {
		if at := v.Get(key); raw == nil && !at.Missing() {
			raw = at.JSON()
		}
	}
	empty := raw == nil || string(raw) == `""`
	if empty && v.Get("required").Bool() {
		v.Fail("the input %s is required: give it a value in the manifest, the deployment file, the environment or with --param", name)
		return json.RawMessage(`""`)
	}
	if raw == nil {
		return emptyOf(kind)
	}
	return typed(v, kind, raw)
}

var types = []string{"string", "integer", "float", "boolean", "number", "json", "object", "list", "array", "slice"}

func isType(s string) bool { return slices.Contains(types, s) }

func emptyOf(kind string) json.RawMessage {
	return json.RawMessage(map[string]string{
		"integer": "0", "float": "0", "number": "0", "boolean": "false", "json": "{}", "object": "{}", "list": "[]", "array": "[]", "slice": "[]",
	}[kind] + map[bool]string{true: `""`}[kind == "" || kind == "string"])
}

// typed makes sure that a value is of its type. Texts that say one, as those of the
// environment do, become it.
func typed(v document.Value, kind string, raw json.RawMessage) json.RawMessage {
	var text string
	isText := json.Unmarshal(raw, &text) == nil && raw[0] == '"'
	if isText && kind != "string" && kind != "" && fits(kind, json.RawMessage(text)) {
		return json.RawMessage(text)
	}
	if kind == "" || fits(kind, raw) {
		return raw
	}
	if kind == "string" && !whisk.IsObject(raw) && !whisk.IsArray(raw) {
		return document.Quote(string(raw))
	}
	v.Fail("the value %s is not of type %s", raw, kind)
	return raw
}

func fits(kind string, raw json.RawMessage) bool {
	if !json.Valid(raw) {
		return false
	}
	switch kind {
	case "string":
		return raw[0] == '"'
	case "integer":
		_, err := strconv.ParseInt(string(raw), 10, 64)
		return err == nil
	case "float", "number":
		_, err := strconv.ParseFloat(string(raw), 64)
		return err == nil
	case "boolean":
		return string(raw) == "true" || string(raw) == "false"
	case "object":
		return whisk.IsObject(raw)
	case "json":
		return whisk.IsObject(raw) || whisk.IsArray(raw)
	}
	return whisk.IsArray(raw)
}
