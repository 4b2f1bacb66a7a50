package whisk

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// FullName is where an entity is: Package is empty for the default package, and
// for triggers and rules.
type FullName struct {
	Namespace string `json:"namespace"`
	Package   string `json:"package,omitempty"`
	Name      string `json:"name"`
}

// String is /ns/name or /ns/pkg/name.
func (n FullName) String() string { return "/" + n.Path() }

// Path is ns/name or ns/pkg/name.
func (n FullName) Path() string {
	if n.Package == "" {
		return n.Namespace + "/" + n.Name
	}
	return n.Namespace + "/" + n.Package + "/" + n.Name
}

// Folder is ns or ns/pkg: what clients see as the path of the entity.
func (n FullName) Folder() string {
	if n.Package == "" {
		return n.Namespace
	}
	return n.Namespace + "/" + n.Package
}

// In answers n with namespace in place of _.
func (n FullName) In(namespace string) FullName {
	if n.Namespace == "_" {
		n.Namespace = namespace
	}
	return n
}

// parseReference reads what a body refers to an entity by: /ns/name, /ns/pkg/name
// or {"path":"ns/pkg","name":…}. A namespace _ is kept. The error's text is for
// clients.
func parseReference(raw json.RawMessage) (FullName, error) {
	if s, err := text(raw); err == nil {
		return ParseFullName(s, "_")
	}
	malformed := errors.New(MsgFullNameMalformed)
	fields, err := object(raw)
	if err != nil {
		return FullName{}, malformed
	}
	path, err := text(fields["path"])
	if err != nil {
		return FullName{}, malformed
	}
	name, err := text(fields["name"])
	if err != nil {
		return FullName{}, malformed
	}
	return ParseFullName(path+"/"+name, "_")
}

const errNotFullName = detail("requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.")

// ParseFullName reads /ns/name or /ns/pkg/name; the leading slash may be missing,
// and the namespace _ stands for caller. The error's text is for clients.
func ParseFullName(s, caller string) (FullName, error) {
	var n FullName
	namespace, rest, ok := strings.Cut(strings.TrimPrefix(s, "/"), "/")
	pkg, name, packaged := strings.Cut(rest, "/")
	if !ok || strings.Contains(name, "/") {
		return n, errNotFullName
	}
	if !packaged {
		pkg, name = "", rest
	}
	n = FullName{namespace, pkg, name}.In(caller)
	if !ValidName(namespace) || !ValidName(name) || packaged && !ValidName(pkg) {
		return n, errors.New(MsgFullNameMalformed)
	}
	return n, nil
}

// Resolved is an action as its caller reached it.
type Resolved struct {
	Action *Action
	// Inherited are the parameters of its package and then of the binding, merged.
	Inherited KeyValues
	// Binding is ns/pkg of the binding it was reached through, or empty.
	Binding string
}

// NotFound is the 404 for an entity.
func NotFound() error { return &Error{Status: http.StatusNotFound, Msg: MsgNotFound} }

// Forbidden is the 403 that names the resource (ns/name).
func Forbidden(resource string) error {
	return &Error{Status: http.StatusForbidden, Msg: MsgForbidden(resource)}
}

// OtherCollection is the 409 for a name that an entity of another kind has.
func OtherCollection() error { return &Error{Status: http.StatusConflict, Msg: MsgOtherCollection} }
