// Package lua runs the Lua of configurations (filter_func, functions of plugins,
// scripts of routes) where it can do no harm: without files, processes, coroutines
// and loading of code, and bounded in instructions, in the length of strings and in
// memory.
//
// A source is compiled once. It runs in states of its own that are kept and used
// again, one call at a time each, so what a source keeps in variables lives as long as
// its state does, as in a worker of nginx, and no other source sees it.
package lua

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// Bounds of a call.
const (
	// Instructions is how many instructions of the virtual machine one call may run.
	Instructions = 1_000_000
	// MaxString is the longest string that a call may make, in bytes.
	MaxString = 4 << 20
	// maxGrowth is by how much the memory of the process may grow during a call
	// that runs for long.
	maxGrowth = 256 << 20
	// keptGrowth is by how much it may if the state is to be kept.
	keptGrowth = 32 << 20
	// maxTime is how long one call may compute.
	maxTime = 5 * time.Second
	// keptStates is how many idle states of one source are kept in any case.
	keptStates = 16
)

// ErrNoFunction says that a source evaluates to something else than a function.
var ErrNoFunction = errors.New("only accept Lua function")

// SourceError says that a source went wrong before it answered its function.
type SourceError struct{ Err error }

// Error answers the text of what went wrong.
func (e *SourceError) Error() string { return e.Err.Error() }

// Unwrap answers what went wrong.
func (e *SourceError) Unwrap() error { return e.Err }

func init() {
	// An assignment to a high index fills the array below it, in one instruction.
	lua.MaxArrayIndex = 1 << 16
}

// State is a virtual machine for one source. Data is what the call under way works
// on; libraries read it.
type State struct {
	*lua.LState
	Data any

	fn     *lua.LFunction // of a Function
	budget *budget
	raised error // what Raise has ended the call under way with
	// swollen: a call has exceeded its bounds, or nearly so.
	swollen bool
}

// Library enters functions into a new state.
type Library func(s *State)

// program is a source that has been read, and the idle states that it has run in.
type program struct {
	proto     *lua.FunctionProto
	libraries []Library
	idle      chan *State
	spare     sync.Pool // idle ones beyond those, as long as memory is not asked for
}

func newProgram(source, name string, libraries []Library) (*program, error) {
	stmts, err := Parse(source, name)
	if err != nil {
		return nil, err
	}
	proto, err := lua.Compile(stmts, name)
	if err != nil {
		return nil, syntaxError(err, source)
	}
	return &program{proto: proto, libraries: libraries, idle: make(chan *State, keptStates)}, nil
}

// Function is a function that a source evaluates to. Several goroutines may call
// it at once.
type Function struct{ *program }

// Compile reads a source, which is a chunk that returns a function; name stands in
// error messages. The source runs once here, to see that it does: data is what its
// calls of libraries work on.
func Compile(source, name string, data any, libraries ...Library) (*Function, error) {
	p, err := newProgram(source, name, libraries)
	if err != nil {
		return nil, err
	}
	f := &Function{p}
	s, err := f.newState(data)
	if err != nil {
		return nil, err
	}
	f.release(s)
	return f, nil
}

// errLevels is as LuaJIT words it.
var errLevels = errors.New("chunk has too many syntax levels")

// Parse reads a source without running it; name stands in error messages.
func Parse(source, name string) ([]ast.Stmt, error) {
	stmts, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, syntaxError(err, source)
	}
	if !bindConcat(stmts) {
		return nil, errLevels
	}
	return stmts, nil
}

// syntaxError words an error of the parser as LuaJIT does.
func syntaxError(err error, source string) error {
	line, near, what := 1, "<eof>", "syntax error"
	var at *parse.Error
	var compiling *lua.CompileError
	switch {
	case errors.As(err, &compiling):
		line, near, what = compiling.Line, "", compiling.Message
	case !errors.As(err, &at):
	case at.Pos.Line == parse.EOF:
		line = 1 + strings.Count(source, "\n")
	default:
		line, near = at.Pos.Line, at.Token
		if afterStatementName(source, at) {
			what = "'=' expected"
		}
	}
	first, _, more := strings.Cut(source, "\n")
	if len(first) > 60 {
		first, more = first[:60], true
	}
	if more {
		first += "..."
	}
	text := `[string "` + first + `"]:` + strconv.Itoa(line) + ": " + what
	if near != "" {
		text += " near '" + near + "'"
	}
	return errors.New(text)
}

// statementName is a name at the end of a line's beginning, where a statement begins.
var statementName = regexp.MustCompile(`(?:^|[;)]|\b(?:then|do|else|repeat|end)\s)\s*([A-Za-z_]\w*)(?:\.\w+)*\s*$`)

// keywords begin statements of their own.
var keywords = []string{"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or",
	"repeat", "return", "then", "true", "until", "while"}

// afterStatementName tells whether the mistake stands behind a name that begins a
// statement, which must be an assignment then.
func afterStatementName(source string, at *parse.Error) bool {
	lines := strings.Split(source, "\n")
	if at.Pos.Line < 1 || at.Pos.Line > len(lines) {
		return false
	}
	before := lines[at.Pos.Line-1]
	before, ok := strings.CutSuffix(before[:min(max(at.Pos.Column, 0), len(before))], at.Token)
	name := statementName.FindStringSubmatch(before)
	return ok && name != nil && !slices.Contains(keywords, name[1])
}

// open makes a state.
func (p *program) open() *State {
	s := &State{
		LState: lua.NewState(lua.Options{
			SkipOpenLibs: true, CallStackSize: 200, RegistrySize: 1 << 8, RegistryMaxSize: 1 << 16,
			RegistryGrowStep: 1 << 8, MinimizeStackMemory: true,
		}),
		budget: &budget{},
	}
	openSafe(s)
	for _, open := range p.libraries {
		open(s)
	}
	s.SetContext(s.budget)
	return s
}

// evaluate lets the source run in a state and answers what it returns.
func (p *program) evaluate(s *State, data any) (lua.LValue, error) {
	values, err := s.run(data, s.NewFunctionFromProto(p.proto), nil)
	if err != nil {
		return nil, &SourceError{err}
	}
	if len(values) == 0 {
		return lua.LNil, nil
	}
	return values[0], nil
}

// run calls a function in its bounds, on data.
func (s *State) run(data any, fn *lua.LFunction, args func(s *State) []lua.LValue) ([]lua.LValue, error) {
	s.Data = data
	defer func() {
		s.SetTop(0)
		s.Data, s.raised = nil, nil
		s.swollen = s.swollen || s.budget.err != nil || s.budget.large
	}()
	s.budget.begin()
	s.Push(fn)
	n := 0
	if args != nil {
		for _, v := range args(s) {
			s.Push(v)
			n++
		}
	}
	if err := s.PCall(n, lua.MultRet, nil); err != nil {
		return nil, cmp.Or(s.raised, plainError(err))
	}
	values := make([]lua.LValue, s.GetTop())
	for i := range values {
		values[i] = s.Get(i + 1)
	}
	return values, nil
}

// take answers an idle state, nil if there is none.
func (p *program) take() *State {
	select {
	case s := <-p.idle:
		return s
	default:
		s, _ := p.spare.Get().(*State)
		return s
	}
}

// release keeps a state for another call, unless what it holds may be large.
func (p *program) release(s *State) {
	if s.swollen {
		s.Close()
		return
	}
	select {
	case p.idle <- s:
	default:
		p.spare.Put(s)
	}
}

// newState makes a state and lets the source run in it.
func (f *Function) newState(data any) (*State, error) {
	s := f.open()
	v, err := f.evaluate(s, data)
	if err != nil {
		return nil, err
	}
	fn, ok := v.(*lua.LFunction)
	if !ok {
		return nil, fmt.Errorf("%w, the input code type is %s", ErrNoFunction, v.Type())
	}
	s.fn = fn
	return s, nil
}

// Call calls the function on data. args makes its arguments; results is given what
// it returned, nothing if it failed. Values of the state must not be used afterwards:
// another call may be at work on them then. Either may be nil.
func (f *Function) Call(data any, args func(s *State) []lua.LValue, results func(s *State, values []lua.LValue)) error {
	s := f.take()
	if s == nil {
		var err error
		if s, err = f.newState(data); err != nil {
			return err
		}
	}
	defer f.release(s)
	values, err := s.run(data, s.fn, args)
	if results != nil {
		results(s, values)
	}
	return err
}

// plainError drops the stack trace of an error.
func plainError(err error) error {
	var api *lua.ApiError
	if errors.As(err, &api) && api.Object != nil {
		return errors.New(api.Object.String())
	}
	return err
}

// Raise ends the call under way, of which Call returns err itself. No source catches
// it.
func (s *State) Raise(err error) {
	s.raised = err
	s.Error(lua.LString(err.Error()), 0)
}
