package snippet_test

import (
	"fmt"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
	"millrace/plugin/snippet"
)

// Whatever functions of libraries are given, what comes of it is a result or an error
// of Lua, not a mistake of ours.
func TestLibrariesTakeAnyArguments(t *testing.T) {
	t.Parallel()
	values := []string{"nil", "-1", "2", "1e308", "0/0", `""`, `"(%a)[$1"`, "{}", `{1, {2}, a = "b"}`, "function(...) return ... end", "ctx", "ngx"}
	table := fmt.Sprintf("{n = %d", len(values))
	for i, v := range values {
		table += fmt.Sprintf(", [%d] = %s", i+1, v)
	}
	paths := snippet.LibraryPaths()
	if len(paths) < 150 {
		t.Fatalf("%d functions", len(paths))
	}
	for _, path := range paths {
		f, err := snippet.CompileFunction(`return function(conf, ctx)
			local values, fn, broken = `+table+`}, `+path+`, nil
			for i = 1, values.n do for j = 1, values.n do
				local ok, err = pcall(fn, values[i], values[j], values[(i + j) % values.n + 1], values[(i * j) % values.n + 1])
				if not ok and (tostring(err):find("runtime error") or tostring(err):find("interface conversion")) then broken = err end
			end end
			if broken then error("mistake: " .. broken) end
		end`, nil, plugintest.Env(t))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		err = f.Call(plugintest.NewContext(post()), plugin.PhaseLog)
		if text := errText(err); strings.Contains(text, "mistake") || strings.Contains(text, "runtime error") || strings.Contains(text, "nil value") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
