package whisk

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Runtime is one kind that actions may have.
type Runtime struct {
	Kind    string // nodejs:20
	Family  string // nodejs
	Image   string // what clients are shown: openwhisk/action-nodejs-v20:nightly
	Default bool   // what family:default means
	// Deprecated kinds can be read and deleted, but not changed or called.
	Deprecated bool
	// RequireMain: actions of this kind must name their entry point.
	RequireMain bool
}

// Manifest is the kinds of an installation. It is not changed once made.
type Manifest struct {
	runtimes []Runtime
	byKind   map[string]*Runtime
	defaults map[string]*Runtime // by family
	families []string
}

// NewManifest checks runtimes: kinds are unique, and each family has one
// default, which a family of one kind has by itself. Their order is kept.
func NewManifest(runtimes []Runtime) (*Manifest, error) {
	m := &Manifest{
		runtimes: slices.Clone(runtimes),
		byKind:   map[string]*Runtime{},
		defaults: map[string]*Runtime{},
	}
	for i := range m.runtimes {
		if err := m.add(&m.runtimes[i]); err != nil {
			return nil, err
		}
	}
	for _, family := range m.families {
		if m.defaults[family] != nil {
			continue
		}
		members := m.Family(family)
		if len(members) > 1 {
			return nil, fmt.Errorf("runtime family %s has several kinds and no default", family)
		}
		only := m.byKind[members[0].Kind]
		only.Default = true
		m.defaults[family] = only
	}
	return m, nil
}

func (m *Manifest) add(r *Runtime) error {
	if r.Kind == "" || r.Family == "" {
		return errors.New("a runtime needs a kind and a family")
	}
	if m.byKind[r.Kind] != nil {
		return fmt.Errorf("runtime kind %s is listed twice", r.Kind)
	}
	m.byKind[r.Kind] = r
	if !slices.Contains(m.families, r.Family) {
		m.families = append(m.families, r.Family)
	}
	if !r.Default {
		return nil
	}
	if d := m.defaults[r.Family]; d != nil {
		return fmt.Errorf("runtime family %s has two defaults: %s and %s", r.Family, d.Kind, r.Kind)
	}
	m.defaults[r.Family] = r
	return nil
}

// Families are the names of the families, in the order of the runtimes.
func (m *Manifest) Families() []string { return m.families }

// Family answers the kinds of a family.
func (m *Manifest) Family(name string) []Runtime {
	var out []Runtime
	for _, r := range m.runtimes {
		if r.Family == name {
			out = append(out, r)
		}
	}
	return out
}

// Runtime answers the runtime of a concrete kind, or nil.
func (m *Manifest) Runtime(kind string) *Runtime { return m.byKind[kind] }

// Resolve answers the runtime that a client's kind means: case and blanks around
// it don't matter, and family:default stands for the family's default. The
// error's text, which lists all kinds, is for clients.
func (m *Manifest) Resolve(kind string) (*Runtime, error) {
	kind = strings.ToLower(strings.TrimSpace(kind))
	if r := m.byKind[kind]; r != nil {
		return r, nil
	}
	if family, ok := strings.CutSuffix(kind, ":default"); ok && m.defaults[family] != nil {
		return m.defaults[family], nil
	}
	return nil, errors.New(msgKindUnknown(kind, m.kinds()))
}

func (m *Manifest) kinds() []string {
	out := make([]string, 0, len(m.runtimes)+2)
	for i := range m.runtimes {
		out = append(out, m.runtimes[i].Kind)
	}
	return append(out, KindSequence, KindBlackbox)
}

// CheckUsable answers nil or the 400 for a kind that is deprecated.
func (m *Manifest) CheckUsable(kind string) error {
	if r := m.byKind[kind]; r != nil && r.Deprecated {
		return &Error{Status: http.StatusBadRequest, Msg: MsgDeprecated(kind)}
	}
	return nil
}
