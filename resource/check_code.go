package resource

import (
	"github.com/yuin/gopher-lua/ast"

	"millrace/internal/lua"
	"millrace/internal/protofile"
)

// checkFilterFunc checks that filter_func is a function in Lua, without running
// anything.
func checkFilterFunc(doc map[string]any, _ *World) error {
	code := text(doc, "filter_func")
	if code == "" || isReference(code) {
		return nil
	}
	chunk, err := lua.Parse("return "+code, "filter_func")
	if err != nil {
		return invalidf("failed to load 'filter_func' string: %s", err)
	}
	if _, ok := returned(chunk).(*ast.FunctionExpr); !ok {
		return Invalid("'filter_func' should be a function")
	}
	return nil
}

// checkScript checks that script is Lua that ends by returning something that may
// be an object.
func checkScript(doc map[string]any, _ *World) error {
	code := text(doc, "script")
	if code == "" || isReference(code) {
		return nil
	}
	chunk, err := lua.Parse(code, "script")
	if err != nil {
		return invalidf("failed to load 'script' string: %s", err)
	}
	switch returned(chunk).(type) {
	case nil, ast.ConstExpr, *ast.FunctionExpr:
		return Invalid("'script' should be a Lua object")
	}
	return nil
}

// returned answers what a chunk returns at its end, nil for nothing.
func returned(chunk []ast.Stmt) ast.Expr {
	if len(chunk) == 0 {
		return nil
	}
	last, ok := chunk[len(chunk)-1].(*ast.ReturnStmt)
	if !ok || len(last.Exprs) == 0 {
		return nil
	}
	return last.Exprs[0]
}

func checkProto(doc map[string]any, _ *World) error {
	content := text(doc, "content")
	if isReference(content) {
		return nil
	}
	if _, err := protofile.Compile(content); err != nil {
		return invalidf("invalid content: %s", err)
	}
	return nil
}
