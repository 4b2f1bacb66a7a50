package plugins

import (
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"millrace/internal/jsonschema"
	"millrace/plugin"
)

// A plugin comes with a test, a conformance script and a page.
func TestEveryPluginIsWhole(t *testing.T) {
	for _, name := range plugin.Names() {
		for _, file := range missing(os.DirFS(".."), name) {
			t.Errorf("plugin %s has no %s", name, file)
		}
	}
}

// Schemas are compiled when they are first used, which must not fail then.
func TestEverySchemaCompiles(t *testing.T) {
	for _, name := range plugin.Names() {
		typ, _ := plugin.Lookup(name)
		for _, schema := range []string{typ.Schema, typ.ConsumerSchema, typ.MetadataSchema} {
			if schema == "" {
				continue
			}
			if _, err := jsonschema.Compile(schema); err != nil {
				t.Errorf("plugin %s: %v", name, err)
			}
		}
	}
}

// TestEveryPluginIsWhole must be able to fail.
func TestMissing(t *testing.T) {
	tree := fstest.MapFS{
		"plugins/a_test.go":           {},
		"plugins/b/b_test.go":         {},
		"conformance/apisix/a.txtar":  {},
		"conformance/apisix/ab.txtar": {},
		"docs/plugins/b.md":           {},
	}
	for name, want := range map[string][]string{
		"a": {"docs/plugins/a.md"},
		"b": {"conformance/apisix/b.txtar"},
		"c": {"plugins/c_test.go", "conformance/apisix/c.txtar", "docs/plugins/c.md"},
	} {
		if got := missing(tree, name); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// missing lists the files that a plugin lacks. A large plugin has its test in a
// folder of its own.
func missing(tree fs.FS, name string) (files []string) {
	needed := [][]string{
		{"plugins/" + name + "_test.go", "plugins/" + name + "/*_test.go"},
		{"conformance/apisix/" + name + ".txtar"},
		{"docs/plugins/" + name + ".md"},
	}
	for _, patterns := range needed {
		found := false
		for _, pattern := range patterns {
			matches, err := fs.Glob(tree, pattern)
			found = found || err == nil && len(matches) > 0
		}
		if !found {
			files = append(files, patterns[0])
		}
	}
	return files
}
