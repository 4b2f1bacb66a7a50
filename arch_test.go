package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// mayImport says which packages of this module a package may import, outside
// its tests. A name covers the packages below it too. Every package may import
// internal, and what is below its own folder.
var mayImport = map[string][]string{
	".":                     {"cli", "whisk/runtime/process"},
	"cli":                   {"server", "config", "cli", "whisk", "resource", "store"},
	"server":                {"config", "gateway", "admin", "plugin", "plugins", "resource", "whisk", "store", "blob", "activation", "console", "telemetry"},
	"config":                {},
	"gateway":               {"plugin", "resource", "store", "gateway"},
	"admin":                 {"plugin", "resource", "store"},
	"plugins":               {"plugin"},
	"plugin":                {},
	"resource":              {"plugin"},
	"whisk":                 {},
	"whisk/catalog":         {"whisk", "store", "blob"},
	"whisk/api":             {"whisk", "blob", "activation"},
	"whisk/request":         {"whisk"},
	"whisk/invoke":          {"whisk", "blob", "activation"},
	"whisk/runtime":         {"whisk/runtime"},
	"whisk/runtime/builtin": {"whisk"},
	"whisk/tenant":          {"whisk", "store"},
	"whisk/operator":        {"whisk"},
	"whisk/web":             {"whisk"},
	"whisk/apis":            {"whisk", "store"},
	"whisk/feed":            {"whisk", "store"},
	"whisk/system":          {"whisk", "blob"},
	"store":                 {"store"},
	"blob":                  {"blob"},
	"activation":            {"activation", "whisk"},
	"console":               {},
	"conformance":           {},
	"internal":              {},
	"bench":                 {},
	"e2e":                   {},
}

func TestImportTable(t *testing.T) {
	for _, v := range importViolations(t, os.DirFS(".")) {
		t.Error(v)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, v := range missingComments(t, os.DirFS(".")) {
		t.Error(v)
	}
}

// The two tests above must be able to fail.
func TestArchitectureTestsFailWhenBroken(t *testing.T) {
	broken := fstest.MapFS{
		"gateway/gateway.go":   {Data: []byte("package gateway\nimport _ \"millrace/whisk/invoke\"\n")},
		"whisk/api/api.go":     {Data: []byte("// Package api is fine.\npackage api\nimport _ \"millrace/whisk\"\n")},
		"unlisted/unlisted.go": {Data: []byte("// Package unlisted is in no row.\npackage unlisted\n")},
	}
	want := []string{
		"gateway/gateway.go: gateway must not import millrace/whisk/invoke",
		"unlisted: no row of the import table (arch_test.go) covers this package",
	}
	if got := importViolations(t, broken); !slices.Equal(got, want) {
		t.Errorf("import violations: got %q, want %q", got, want)
	}
	want = []string{"gateway: no file has a package comment"}
	if got := missingComments(t, broken); !slices.Equal(got, want) {
		t.Errorf("missing comments: got %q, want %q", got, want)
	}
}

// importViolations lists imports in tree that the table does not allow.
func importViolations(t *testing.T, tree fs.FS) []string {
	var out []string
	unlisted := map[string]bool{}
	eachGoFile(t, tree, func(name string, file *ast.File) {
		pkg := path.Dir(name)
		row, allowed, ok := rowOf(pkg)
		if !ok {
			if !unlisted[pkg] {
				unlisted[pkg] = true
				out = append(out, pkg+": no row of the import table (arch_test.go) covers this package")
			}
			return
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			target, ours := strings.CutPrefix(imported, "millrace/")
			if ours && !within(target, "internal") && !within(target, row) && !slices.ContainsFunc(allowed, func(a string) bool { return within(target, a) }) {
				out = append(out, fmt.Sprintf("%s: %s must not import %s", name, pkg, imported))
			}
		}
	})
	return out
}

// rowOf finds the longest row that covers pkg.
func rowOf(pkg string) (row string, allowed []string, ok bool) {
	for r, a := range mayImport {
		if within(pkg, r) && (!ok || len(r) > len(row)) {
			row, allowed, ok = r, a, true
		}
	}
	return row, allowed, ok
}

func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

// missingComments lists the packages of tree without a package comment.
func missingComments(t *testing.T, tree fs.FS) []string {
	has := map[string]bool{}
	eachGoFile(t, tree, func(name string, file *ast.File) {
		pkg := path.Dir(name)
		has[pkg] = has[pkg] || file.Doc != nil
	})
	var out []string
	for pkg, ok := range has {
		if !ok {
			out = append(out, pkg+": no file has a package comment")
		}
	}
	slices.Sort(out)
	return out
}

// eachGoFile parses the heads of the Go files of tree that are not tests.
func eachGoFile(t *testing.T, tree fs.FS, fn func(name string, file *ast.File)) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		fn(name, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
