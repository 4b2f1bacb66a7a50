package snippet

import (
	"encoding/json"
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// openRequire enters require, which answers modules of this program that stand for
// those that sources know.
func openRequire(s *sandbox.State) {
	openCtx(s)
	modules := s.NewTable()
	s.SetGlobal("require", s.Register(func(s *sandbox.State) int {
		name := s.CheckString(1)
		m := modules.RawGetString(name)
		if m == lua.LNil {
			if m = module(s, name); m == nil {
				s.RaiseError("%s", noModule(name))
			}
			modules.RawSetString(name, m)
		}
		s.Push(m)
		return 1
	}))
}

// noModule says why there is no such module.
func noModule(name string) string {
	text := "module '" + name + "' not found"
	for prefix, why := range map[string]string{
		"apisix.plugins.": "plugins are run by naming them in a configuration, not by functions",
		"apisix.":         "of apisix there are core, plugin and their parts",
		"resty.":          "functions of configurations reach neither the network nor files",
		"socket":          "functions of configurations reach neither the network nor files",
	} {
		if strings.HasPrefix(name, prefix) && (prefix != "apisix." || !strings.HasPrefix(name, "apisix.plugins.")) {
			return text + ": " + why
		}
	}
	return text
}

// module makes a module, nil if there is none of this name.
func module(s *sandbox.State, name string) lua.LValue {
	if part, ok := strings.CutPrefix(name, "apisix.core."); ok {
		return coreModule(s, part)
	}
	switch name {
	case "apisix.core":
		return library(s, nil, coreModule)
	case "apisix.plugin":
		return library(s, pluginModule, nil)
	case "cjson":
		return jsonModule(s, false)
	case "cjson.safe":
		return jsonModule(s, true)
	case "ngx.re":
		return library(s, patternFunctions, nil)
	case "ngx.resp":
		return library(s, responseFunctions, nil)
	case "ngx.req":
		return library(s, requestFunctions, nil)
	case "ngx.base64":
		return library(s, base64Module, nil)
	case "string", "table", "math", "os":
		return s.GetGlobal(name)
	case "table.new", "table.clear", "table.nkeys", "table.clone", "table.isempty", "table.isarray":
		return s.Register(coreTable[strings.TrimPrefix(name, "table.")])
	case "bit":
		return library(s, bitModule, nil)
	}
	return restyModule(s, name)
}

// jsonModule is cjson, cjson.safe and, with more, core.json.
func jsonModule(s *sandbox.State, safe bool) *lua.LTable {
	return library(s, jsonFunctions(safe), func(s *sandbox.State, name string) lua.LValue {
		switch name {
		case "null":
			return s.Null()
		case "empty_array":
			return s.EmptyArray()
		case "array_mt", "empty_array_mt":
			return s.ArrayMeta()
		}
		return nil
	})
}

// jsonFunctions are those of cjson; safe ones answer nil and the error.
func jsonFunctions(safe bool) map[string]luaFunc {
	fail := func(s *sandbox.State, err error) int {
		if !safe {
			s.RaiseError("%s", err.Error())
		}
		return failSoftly(s, err)
	}
	encode := func(s *sandbox.State) int {
		text, err := sandbox.EncodeJSON(s.Get(1))
		if err != nil {
			return fail(s, err)
		}
		return push(s, text)
	}
	same := func(s *sandbox.State) int { s.Push(jsonModule(s, safe)); return 1 }
	setting := func(s *sandbox.State) int { s.SetTop(1); return 1 }
	return map[string]luaFunc{
		"encode": encode, "stably_encode": encode,
		"delay_encode": encode, // what is logged is written at once
		"decode": func(s *sandbox.State) int {
			v, err := s.DecodeJSON(s.CheckString(1))
			if err != nil {
				return fail(s, err)
			}
			s.Push(v)
			return 1
		},
		"new": same, "encode_empty_table_as_object": setting, "decode_array_with_array_mt": setting, "encode_sparse_array": setting,
		"encode_number_precision": setting, "encode_max_depth": setting, "decode_max_depth": setting, "encode_escape_forward_slash": setting,
	}
}

// pluginModule are the functions of apisix.plugin.
var pluginModule = map[string]luaFunc{
	// plugin_metadata answers {value = …} of a plugin whose metadata is kept.
	"plugin_metadata": func(s *sandbox.State) int {
		m, ok := callOf(s).c.Metadata[s.CheckString(1)]
		if !ok {
			return pushNil(s)
		}
		text, err := json.Marshal(m)
		if err != nil {
			return pushNil(s)
		}
		t := s.NewTable()
		t.RawSetString("value", decoded(s, string(text)))
		s.Push(t)
		return 1
	},
	"plugin_attr": func(s *sandbox.State) int { return pushNil(s) },
	// get answers what is known of a plugin, not a way to run it.
	"get": func(s *sandbox.State) int {
		name := s.CheckString(1)
		t, ok := plugin.Lookup(name)
		if !ok {
			return pushNil(s)
		}
		return push(s, map[string]any{"name": name, "priority": t.Priority, "version": 0.1})
	},
}
