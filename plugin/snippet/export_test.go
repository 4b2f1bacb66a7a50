package snippet

import (
	"maps"
	"slices"
)

// LibraryPaths are expressions that answer the functions.
func LibraryPaths() []string {
	var paths []string
	add := func(prefix string, functions map[string]luaFunc) {
		for _, name := range slices.Sorted(maps.Keys(functions)) {
			paths = append(paths, prefix+name)
		}
	}
	add("ngx.", ngxFunctions)
	add("ngx.req.", requestFunctions)
	add("ngx.resp.", responseFunctions)
	add("ngx.re.", patternFunctions)
	core := `require("apisix.core").`
	for name, functions := range map[string]map[string]luaFunc{
		"log": coreLog, "request": coreRequest, "response": coreResponse, "ctx": coreCtx, "string": coreString, "table": coreTable, "utils": coreUtils,
		"ip": coreIP, "lrucache": coreCache, "tablepool": corePool, "id": coreID, "json": jsonFunctions(true),
	} {
		add(core+name+".", functions)
	}
	for name, functions := range map[string]map[string]luaFunc{
		"apisix.plugin": pluginModule, "resty.string": restyString, "resty.random": restyRandom, "resty.hmac": restyHMAC, "ngx.base64": base64Module, "bit": bitModule,
	} {
		add(`require("`+name+`").`, functions)
	}
	for _, name := range slices.Sorted(maps.Keys(dictFunctions)) {
		paths = append(paths, "(function(...) return ngx.shared.d."+name+"(ngx.shared.d, ...) end)")
	}
	return append(paths, `require("resty.sha256"):new().update`, `require("resty.sha256"):new().final`, `require("resty.cookie"):new().get`, `require("resty.cookie"):new().set`)
}
