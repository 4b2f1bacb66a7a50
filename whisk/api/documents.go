package api

import (
	"strconv"
	"unsafe"

	"millrace/whisk"
)

// The documents are put together as bytes: what clients gave (parameters,
// results) is not decoded again. Members stand in alphabetical order.

func appendInt(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(b, key...), n, 10)
}

func appendText(b []byte, key, s string) []byte {
	return whisk.AppendString(append(b, key...), s)
}

func appendBool(b []byte, key string, v bool) []byte {
	return strconv.AppendBool(append(b, key...), v)
}

// appendAction appends an action as GET and PUT answer it. parameters are what
// the reader sees, the package's included; code is left out if nil.
func appendAction(b []byte, a *whisk.Action, parameters whisk.KeyValues, code []byte) []byte {
	return appendBoundAction(b, a, parameters, code, "")
}

// appendBoundAction appends an action that was reached through the binding ns/pkg.
func appendBoundAction(b []byte, a *whisk.Action, parameters whisk.KeyValues, code []byte, binding string) []byte {
	b = append(b, `{"annotations":`...)
	b = a.Annotations.AppendJSON(b)
	if binding != "" {
		b = appendText(b, `,"binding":`, binding)
	}
	b = appendExec(append(b, `,"exec":`...), &a.Exec, code)
	b = appendLimits(append(b, `,"limits":`...), a.Limits)
	b = appendText(b, `,"name":`, a.Name)
	b = appendText(b, `,"namespace":`, folder(a))
	b = append(b, `,"parameters":`...)
	b = parameters.AppendJSON(b)
	return appendTail(b, a.Publish, a.Updated, a.Version)
}

func appendExec(b []byte, e *whisk.Exec, code []byte) []byte {
	b = appendText(b, `{"kind":`, e.Kind)
	if e.Kind == whisk.KindSequence {
		b = appendList(append(b, `,"components":`...), e.Components, whisk.AppendString)
		return append(b, '}')
	}
	if code != nil {
		b = appendText(b, `,"code":`, unsafe.String(unsafe.SliceData(code), len(code))) // it may be large
	}
	b = appendBool(b, `,"binary":`, e.Binary)
	if e.Main != "" {
		b = appendText(b, `,"main":`, e.Main)
	}
	return append(b, '}')
}

// appendActionSummary appends an action as lists show it.
func appendActionSummary(b []byte, a *whisk.Action) []byte {
	b = append(b, `{"annotations":`...)
	b = a.Annotations.AppendJSON(b)
	b = appendBool(b, `,"exec":{"binary":`, a.Exec.Binary)
	b = appendLimits(append(b, `},"limits":`...), a.Limits)
	b = appendText(b, `,"name":`, a.Name)
	b = appendText(b, `,"namespace":`, folder(a))
	return appendTail(b, a.Publish, a.Updated, a.Version)
}

func appendTail(b []byte, publish bool, updated int64, version string) []byte {
	b = appendBool(b, `,"publish":`, publish)
	b = appendInt(b, `,"updated":`, updated)
	b = appendText(b, `,"version":`, version)
	return append(b, '}')
}

// folder is what clients see as the namespace of an action: ns or ns/pkg.
func folder(a *whisk.Action) string {
	if a.Package == "" {
		return a.Namespace
	}
	return a.Namespace + "/" + a.Package
}

func appendLimits(b []byte, l whisk.Limits) []byte {
	b = appendInt(b, `{"concurrency":`, int64(l.Concurrency))
	if l.Instances != nil {
		b = appendInt(b, `,"instances":`, int64(*l.Instances))
	}
	b = appendInt(b, `,"logs":`, int64(l.LogsMB))
	b = appendInt(b, `,"memory":`, int64(l.MemoryMB))
	b = appendInt(b, `,"timeout":`, int64(l.TimeoutMS))
	return append(b, '}')
}

// appendPackage appends a package as PUT and DELETE answer it.
func appendPackage(b []byte, p *whisk.Package) []byte {
	return appendPackageMembers(append(b, '{'), p, p.Parameters)
}

// appendOpenPackage appends a package as GET answers it: with the parameters and
// the actions that its reader finds in it.
func appendOpenPackage(b []byte, p *whisk.Package, parameters whisk.KeyValues, actions []*whisk.Action) []byte {
	var plain, feeds []*whisk.Action
	for _, a := range actions {
		if a.Annotations.Find(whisk.AnnotationFeed) != nil {
			feeds = append(feeds, a)
		} else {
			plain = append(plain, a)
		}
	}
	b = appendList(append(b, `{"actions":`...), plain, appendMember)
	b = appendList(append(b, `,"feeds":`...), feeds, appendMember)
	return appendPackageMembers(append(b, ','), p, parameters)
}

func appendPackageMembers(b []byte, p *whisk.Package, parameters whisk.KeyValues) []byte {
	b = append(b, `"annotations":`...)
	b = p.Annotations.AppendJSON(b)
	b = appendBinding(append(b, `,"binding":`...), p.Binding, `{}`)
	b = appendText(b, `,"name":`, p.Name)
	b = appendText(b, `,"namespace":`, p.Namespace)
	b = append(b, `,"parameters":`...)
	b = parameters.AppendJSON(b)
	return appendTail(b, p.Publish, p.Updated, p.Version)
}

// appendBinding appends what a package is bound to; none is what stands for
// nothing.
func appendBinding(b []byte, n *whisk.PackageName, none string) []byte {
	if n == nil {
		return append(b, none...)
	}
	b = appendText(b, `{"name":`, n.Name)
	b = appendText(b, `,"namespace":`, n.Namespace)
	return append(b, '}')
}

// appendMember appends an action as the document of its package shows it.
func appendMember(b []byte, a *whisk.Action) []byte {
	b = append(b, `{"annotations":`...)
	b = a.Annotations.AppendJSON(b)
	b = appendText(b, `,"name":`, a.Name)
	b = appendText(b, `,"version":`, a.Version)
	return append(b, '}')
}

// appendPackageSummary appends a package as lists show it.
func appendPackageSummary(b []byte, p *whisk.Package) []byte {
	b = append(b, `{"annotations":`...)
	b = p.Annotations.AppendJSON(b)
	b = appendBinding(append(b, `,"binding":`...), p.Binding, `false`)
	b = appendText(b, `,"name":`, p.Name)
	b = appendText(b, `,"namespace":`, p.Namespace)
	return appendTail(b, p.Publish, p.Updated, p.Version)
}

func appendList[T any](b []byte, l []T, item func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = item(b, v)
	}
	return append(b, ']')
}

// countDocument is the answer to count=true.
func countDocument(collection string, n, skip int) []byte {
	return append(appendInt(nil, `{"`+collection+`":`, int64(max(0, n-skip))), '}')
}
