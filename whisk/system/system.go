// Package system installs the packages of the namespace whisk.system: actions
// that every namespace may call, some in Node.js, some part of the platform.
//
// What is installed is data, a file a package here, or Register called by whoever
// brings the functions. The entities are those of the catalog; this package
// stores nothing of its own.
package system

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"millrace/whisk"
)

// Namespace owns the packages. It exists whether or not somebody has a key for it.
const Namespace = "whisk.system"

// Package is a package to be installed, readable by everyone unless Private is
// set: then others reach only its web actions.
type Package struct {
	Name                    string
	Private                 bool
	Parameters, Annotations whisk.KeyValues
	Actions                 []Action
}

// Action is an action of a package. Either Function or Source is set.
type Action struct {
	Name string
	// Function is the name of a function of package builtin.
	Function string
	// Source is an action in Node.js.
	Source                  string
	Parameters, Annotations whisk.KeyValues
}

var registered struct {
	sync.Mutex
	packages []Package
}

// Register adds a package to those that Packages answers. It is called by init
// functions and panics if the name is taken.
func Register(p Package) {
	registered.Lock()
	defer registered.Unlock()
	if slices.ContainsFunc(registered.packages, func(o Package) bool { return o.Name == p.Name }) {
		panic("system: package " + p.Name + " is registered twice")
	}
	registered.packages = append(registered.packages, p)
}

// Packages answers what was registered, by name.
func Packages() []Package {
	registered.Lock()
	defer registered.Unlock()
	all := slices.Clone(registered.packages)
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Annotations makes a list of keys and JSON texts in turn. It panics if a value
// is no JSON: what is installed is fixed when the program is written.
func Annotations(pairs ...string) whisk.KeyValues {
	var l whisk.KeyValues
	for pair := range slices.Chunk(pairs, 2) {
		if len(pair) < 2 || !json.Valid([]byte(pair[1])) {
			panic(fmt.Sprintf("system: annotation %q is no key and JSON text", pair))
		}
		l = l.With(pair[0], json.RawMessage(pair[1]))
	}
	return l
}

// Describe makes the annotations that clients show as documentation: a text, and
// the JSON texts of the list of parameters, of a sample input and of its output.
func Describe(description, parameters, sampleInput, sampleOutput string) whisk.KeyValues {
	l := whisk.KeyValues{{Key: "description", Value: whisk.AppendString(nil, description)}}
	return append(l, Annotations("parameters", parameters, "sampleInput", sampleInput, "sampleOutput", sampleOutput)...)
}
