package lua

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// concatName is the global that stands for the operator "..", which no source can
// name.
const concatName = "\x00concat"

// maxLevels bounds how deep a source is nested: the compiler follows it by recursion.
const maxLevels = 5000

var exprType = reflect.TypeFor[ast.Expr]()

// bindConcat replaces each a .. b by a call, so that the length of what it makes is
// bounded. It answers false for a source that is nested too deep.
func bindConcat(stmts []ast.Stmt) bool {
	return !slices.ContainsFunc(stmts, func(stmt ast.Stmt) bool { return !rewrite(reflect.ValueOf(stmt), 0) })
}

// rewrite walks a tree of the parser's nodes; false if it is too deep.
func rewrite(v reflect.Value, level int) bool {
	if level > maxLevels {
		return false
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return true
		}
		if v.CanSet() && v.Type() == exprType {
			if c, ok := v.Interface().(*ast.StringConcatOpExpr); ok {
				v.Set(reflect.ValueOf(callOfConcat(c)))
			}
		}
		if v.Kind() == reflect.Pointer {
			level++
		}
		return rewrite(v.Elem(), level)
	case reflect.Struct:
		for i := range v.NumField() {
			if !rewrite(v.Field(i), level) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !rewrite(v.Index(i), level) {
				return false
			}
		}
	}
	return true
}

// callOfConcat is the call that stands for a .. b.
func callOfConcat(c *ast.StringConcatOpExpr) *ast.FuncCallExpr {
	call := &ast.FuncCallExpr{Func: &ast.IdentExpr{Value: concatName}, Args: operands(c), AdjustRet: true}
	call.SetLine(c.Line())
	call.SetLastLine(c.LastLine())
	call.Func.SetLine(c.Line())
	call.Func.SetLastLine(c.LastLine())
	return call
}

// operands are those of a chain a .. b .. c. The last is kept from being taken for
// several if it is a call.
func operands(c *ast.StringConcatOpExpr) []ast.Expr {
	args := []ast.Expr{c.Lhs}
	rest := c.Rhs
	for {
		next, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		args, rest = append(args, next.Lhs), next.Rhs
	}
	switch last := rest.(type) {
	case *ast.FuncCallExpr:
		last.AdjustRet = true
	case *ast.Comma3Expr:
		last.AdjustRet = true
	}
	return append(args, rest)
}

// concat is the operator "..".
func concat(s *State) int {
	n := s.GetTop()
	total := 0
	var b strings.Builder
	for i := 1; i <= n; i++ {
		v := s.Get(i)
		if !lua.LVCanConvToString(v) {
			return concatMeta(s, n)
		}
		total += len(lua.LVAsString(v))
	}
	s.BoundString(total)
	b.Grow(total)
	for i := 1; i <= n; i++ {
		b.WriteString(lua.LVAsString(s.Get(i)))
	}
	s.Push(lua.LString(b.String()))
	return 1
}

// concatMeta joins from the right, by the operands' own __concat if they have one.
func concatMeta(s *State, n int) int {
	right := s.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := s.Get(i)
		if lua.LVCanConvToString(left) && lua.LVCanConvToString(right) {
			s.BoundString(len(lua.LVAsString(left)) + len(lua.LVAsString(right)))
			right = lua.LString(lua.LVAsString(left) + lua.LVAsString(right))
			continue
		}
		op := s.GetMetaField(left, "__concat")
		if op == lua.LNil {
			op = s.GetMetaField(right, "__concat")
		}
		if op == lua.LNil {
			bad := right
			if !lua.LVCanConvToString(left) {
				bad = left
			}
			s.RaiseError("attempt to concatenate a %s value", bad.Type())
		}
		s.Push(op)
		s.Push(left)
		s.Push(right)
		s.LState.Call(2, 1)
		right = s.Get(-1)
		s.Pop(1)
	}
	s.Push(right)
	return 1
}

// BoundString ends the call if a string of n bytes is too long, and charges it.
func (s *State) BoundString(n int) {
	if n > MaxString || n < 0 {
		s.RaiseError("string is too long")
	}
	s.Charge(n)
}

// Register makes a function of a library.
func (s *State) Register(fn func(s *State) int) *lua.LFunction {
	return s.NewFunction(func(*lua.LState) int { return fn(s) })
}

// openSafe enters what of Lua's own libraries is safe.
func openSafe(s *State) {
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{{"", lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString}, {lua.MathLibName, lua.OpenMath}} {
		s.Push(s.NewFunction(lib.open))
		s.Push(lua.LString(lib.name))
		s.LState.Call(1, 0)
	}
	for _, name := range []string{
		"collectgarbage", "dofile", "getfenv", "load", "loadfile", "loadstring", "print", "_printregs",
		"setfenv", "module", "require", "newproxy",
	} {
		s.SetGlobal(name, lua.LNil)
	}
	s.SetGlobal(concatName, s.Register(concat))
	for _, name := range []string{"pcall", "xpcall"} {
		passRaised(s, name)
	}
	openStrings(s)
	openTables(s)
	openClock(s)
}

// passRaised makes a function that catches errors pass on what Raise has raised.
func passRaised(s *State, name string) {
	catch := s.GetGlobal(name).(*lua.LFunction).GFunction
	s.SetGlobal(name, s.Register(func(s *State) int {
		n := catch(s.LState)
		if s.raised != nil {
			s.Raise(s.raised)
		}
		return n
	}))
}

// openTables bounds what makes strings of tables and tables of numbers.
func openTables(s *State) {
	table := s.GetGlobal(lua.TabLibName).(*lua.LTable)
	table.RawSetString("concat", s.Register(join))
	unpack := s.GetGlobal("unpack").(*lua.LFunction).GFunction
	bounded := s.Register(func(s *State) int {
		t := s.CheckTable(1)
		if n := s.OptInt(3, t.Len()) - s.OptInt(2, 1); n > 1000 {
			s.RaiseError("too many results to unpack")
		}
		return unpack(s.LState)
	})
	s.SetGlobal("unpack", bounded)
	table.RawSetString("unpack", bounded)
}

// join is table.concat.
func join(s *State) int {
	t, sep := s.CheckTable(1), s.OptString(2, "")
	var b strings.Builder
	for i, n := s.OptInt(3, 1), s.OptInt(4, t.Len()); i <= n; i++ {
		v := t.RawGetInt(i)
		if !lua.LVCanConvToString(v) {
			s.RaiseError("invalid value (%s) at index %d in table for concat", v.Type().String(), i)
		}
		b.WriteString(lua.LVAsString(v))
		if i < n {
			b.WriteString(sep)
		}
		if b.Len() > MaxString {
			break
		}
	}
	s.BoundString(b.Len())
	s.Push(lua.LString(b.String()))
	return 1
}

// maxDate bounds formats of os.date, whose directives become many bytes each.
const maxDate = 4 << 10

// openClock enters what of os tells the time.
func openClock(s *State) {
	s.Push(s.NewFunction(lua.OpenOs))
	s.Push(lua.LString(lua.OsLibName))
	s.LState.Call(1, 0)
	all, t := s.GetGlobal(lua.OsLibName).(*lua.LTable), s.NewTable()
	for _, name := range []string{"difftime", "time"} {
		t.RawSetString(name, all.RawGetString(name))
	}
	date := all.RawGetString("date").(*lua.LFunction).GFunction
	t.RawSetString("date", s.Register(func(s *State) int {
		if len(lua.LVAsString(s.Get(1))) > maxDate {
			s.RaiseError("format is too long")
		}
		return date(s.LState)
	}))
	t.RawSetString("clock", s.Register(func(s *State) int {
		now := float64(time.Now().UnixMicro()) / 1e6
		s.Push(lua.LNumber(math.Mod(now, 1e6)))
		return 1
	}))
	s.SetGlobal(lua.OsLibName, t)
}
