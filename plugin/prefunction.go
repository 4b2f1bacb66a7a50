package plugin

import (
	"encoding/json"
	"errors"
)

// PreFunction is the code of a _meta.pre_function. Init says what the process lends to
// it; one that has only been checked is not initialised.
type PreFunction interface {
	Initer
	RouteReader
	// Before runs it ahead of a phase of its plugin. ErrExit and ErrDrop end the request,
	// other failures are its own.
	Before(c *Context, phase Phase) error
}

// compilePreFunction reads a source; conf is the configuration that it stands in.
var compilePreFunction = func(string, json.RawMessage) (PreFunction, error) {
	return nil, errors.New("this program runs no Lua")
}

// RegisterPreFunction names what reads the sources of pre-functions. Package snippet
// calls it from init.
func RegisterPreFunction(compile func(source string, conf json.RawMessage) (PreFunction, error)) {
	compilePreFunction = compile
}
