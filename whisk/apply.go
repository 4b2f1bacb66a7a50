package whisk

import (
	"encoding/json"
	"net/http"
	"time"
)

// Annotations that the platform itself sets or reads.
const (
	AnnotationExec          = "exec"
	AnnotationProvideAPIKey = "provide-api-key"
	AnnotationFinal         = "final"
	AnnotationFeed          = "feed"
	AnnotationBinding       = "binding"
)

// Apply answers the action that results from putting p: over old, or as a new
// one at namespace, pkg and name if old is nil. The digest of new code is left
// to whoever stores it. Errors are *Error.
func (p *ActionPut) Apply(old *Action, namespace, pkg, name string, defaults Limits, now time.Time) (*Action, error) {
	a := &Action{Namespace: namespace, Package: pkg, Name: name, Limits: defaults, Version: FirstVersion.String()}
	if old != nil {
		c := *old
		a = &c
		a.Version = NextVersion(old.Version)
	} else if p.Exec == nil {
		return nil, &Error{Status: http.StatusBadRequest, Msg: MsgExecUndefined}
	}
	a.Updated = now.UnixMilli()
	if p.Version != nil {
		a.Version = p.Version.String()
	}
	if p.Publish != nil {
		a.Publish = *p.Publish
	}
	if p.Exec != nil {
		if a.Exec.Kind == KindSequence {
			a.Parameters = nil // they were the components
		}
		a.Exec = p.Exec.in(namespace)
	}
	if p.Parameters != nil {
		a.Parameters = p.Parameters
	}
	if a.Exec.Kind == KindSequence {
		a.Parameters = componentParameters(a.Exec.Components)
	}
	a.Limits = p.Limits.Over(a.Limits)
	a.Annotations = p.annotations(old, a.Exec.Kind)
	return a, nil
}

// in is what is stored, _ standing for namespace.
func (e *ExecPut) in(namespace string) Exec {
	out := Exec{Kind: e.Kind, Main: e.Main, Binary: e.Binary, Size: len(e.Code)}
	for _, c := range e.Components {
		out.Components = append(out.Components, c.In(namespace).String())
	}
	return out
}

// componentParameters is the one parameter that a sequence has.
func componentParameters(components []string) KeyValues {
	value := []byte{'['}
	for i, c := range components {
		if i > 0 {
			value = append(value, ',')
		}
		value = AppendString(value, c)
	}
	return KeyValues{{Key: "_actions", Value: append(value, ']')}}
}

func (p *ActionPut) annotations(old *Action, kind string) KeyValues {
	var l KeyValues
	if old != nil {
		l = old.Annotations
	}
	l = l.Without(p.DelAnnotations).Merge(p.Annotations)
	if old == nil {
		l = l.Without([]string{AnnotationExec})
		if l.Find(AnnotationProvideAPIKey) == nil {
			l = l.With(AnnotationProvideAPIKey, json.RawMessage("false"))
		}
	}
	return l.With(AnnotationExec, AppendString(nil, kind))
}

// Apply answers the package that results from putting p over old, or as a new
// one if old is nil.
func (p *PackagePut) Apply(old *Package, namespace, name string, now time.Time) *Package {
	k := &Package{Namespace: namespace, Name: name, Version: FirstVersion.String()}
	if old != nil {
		c := *old
		k = &c
		k.Version = NextVersion(old.Version)
	}
	k.Updated = now.UnixMilli()
	if p.Version != nil {
		k.Version = p.Version.String()
	}
	if p.Publish != nil {
		k.Publish = *p.Publish
	}
	if p.Parameters != nil {
		k.Parameters = p.Parameters
	}
	if p.Annotations != nil {
		k.Annotations = p.Annotations
	}
	if p.Binding != nil {
		k.Binding = p.Binding.in(namespace)
	}
	if k.Binding != nil {
		k.Annotations = k.Annotations.With(AnnotationBinding, k.Binding.json())
	}
	return k
}

// Immutable answers the names that a caller may not give: with the annotation
// "final" set, those of all parameters that have a value. inherited are the
// package's.
func (a *Action) Immutable(inherited KeyValues) map[string]bool {
	if !Truthy(a.Annotations.Find(AnnotationFinal)) {
		return nil
	}
	names := map[string]bool{}
	for _, kv := range inherited.Merge(a.Parameters) {
		if !isNull(kv.Value) {
			names[kv.Key] = true
		}
	}
	return names
}
