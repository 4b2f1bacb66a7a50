package feed

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"millrace/whisk/system"
)

// Source is where events of one package's feeds come from. Its methods may be
// called from several goroutines, but not for the same subscription.
type Source interface {
	// Configure checks the parameters of a CREATE, or of an UPDATE if
	// s.Settings is there, and answers the settings that s is to have. It does
	// not change s. An error of type Refusal is for the client.
	Configure(s *Subscription, p Params) (settings json.RawMessage, err error)
	// Describe adds to the members of config in the answer to READ.
	Describe(s *Subscription, config map[string]any) error
	// Apply makes the events of s fire its trigger from now on, if s.Active, and
	// else not. It is called for every subscription at start, and then for each
	// one that was written, with the newer one in place of the older.
	Apply(s *Subscription) error
	// Forget ends what Apply began.
	Forget(id ID)
	// Run runs until ctx is done and returns when its goroutines are gone.
	Run(ctx context.Context) error
}

// Answerer is a Source that adds members to the answers to CREATE and UPDATE.
// What it adds stands in the activation record: no secrets.
type Answerer interface {
	Answer(s *Subscription, answer map[string]any)
}

// Package is a package of feeds. Those of its actions that have neither source
// nor function are the feeds.
type Package struct {
	system.Package
	// Path is the segment below /api/v1/ whose requests the source answers, if it
	// is an http.Handler; empty if it is none.
	Path string
	New  func(*Feeds) Source
}

var registered struct {
	sync.Mutex
	packages []Package
}

// Register adds a package of feeds to whisk.system. It is called by init
// functions and panics if the name is taken.
func Register(p Package) {
	p.Actions = slices.Clone(p.Actions)
	for i := range p.Actions {
		if a := &p.Actions[i]; a.Source == "" && a.Function == "" {
			a.Function = functionName(p.Name, a.Name)
			a.Annotations = append(system.Annotations("feed", "true"), a.Annotations...)
		}
	}
	system.Register(p.Package)
	registered.Lock()
	defer registered.Unlock()
	registered.packages = append(registered.packages, p)
}

func functionName(pkg, feed string) string { return "feed/" + pkg + "/" + feed }

// packages answers what was registered, by name.
func packages() []Package {
	registered.Lock()
	defer registered.Unlock()
	all := slices.Clone(registered.packages)
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return all
}
