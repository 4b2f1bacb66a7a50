package lua

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// ErrNoObject says that a source evaluates to something else than a table.
var ErrNoObject = errors.New("not a Lua object")

// Object is a source that evaluates to a table of functions. Several goroutines may
// open it at once.
type Object struct{ *program }

// CompileObject reads a source without running it; name stands in error messages.
func CompileObject(source, name string, libraries ...Library) (*Object, error) {
	p, err := newProgram(source, name, libraries)
	if err != nil {
		return nil, err
	}
	return &Object{p}, nil
}

// Opened is an Object's table, in a state that nobody else uses until it is closed.
// One goroutine may use it at a time.
type Opened struct {
	o     *Object
	s     *State
	table *lua.LTable
}

// Open runs the source on data, which makes the table anew. Close gives its state
// back.
func (o *Object) Open(data any) (*Opened, error) {
	s := o.take()
	if s == nil {
		s = o.open()
	}
	v, err := o.evaluate(s, data)
	if err != nil {
		o.release(s)
		return nil, err
	}
	table, ok := v.(*lua.LTable)
	if !ok {
		o.release(s)
		return nil, fmt.Errorf("%w, but a %s", ErrNoObject, v.Type())
	}
	return &Opened{o, s, table}, nil
}

// Has tells whether the table has a field.
func (o *Opened) Has(name string) bool { return o.table.RawGetString(name) != lua.LNil }

// Call calls a function of the table on data; args makes its arguments. What it
// returns is dropped.
func (o *Opened) Call(name string, data any, args func(s *State) []lua.LValue) error {
	fn, ok := o.table.RawGetString(name).(*lua.LFunction)
	if !ok {
		return fmt.Errorf("attempt to call field '%s' (a %s value)", name, o.table.RawGetString(name).Type())
	}
	_, err := o.s.run(data, fn, args)
	return err
}

// Close gives the state back.
func (o *Opened) Close() { o.o.release(o.s) }
