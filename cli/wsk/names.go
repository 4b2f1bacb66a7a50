package wsk

import (
	"fmt"
	"strings"
)

// name is the full name of an action, package or trigger. Package is empty for
// the default package.
type name struct {
	namespace, pkg, entity string
}

// parseName reads entity, pkg/entity, /ns/entity or /ns/pkg/entity; what is
// left out comes from the settings.
func (c *client) parseName(text string) (name, error) {
	n := name{namespace: c.namespace}
	rest := text
	if after, full := strings.CutPrefix(text, "/"); full {
		n.namespace, rest, _ = strings.Cut(after, "/")
	}
	parts := strings.Split(rest, "/")
	switch len(parts) {
	case 1:
		n.entity = parts[0]
	case 2:
		n.pkg, n.entity = parts[0], parts[1]
	}
	if n.namespace == "" || n.entity == "" || len(parts) == 2 && n.pkg == "" {
		return name{}, invalidName(text)
	}
	return n, nil
}

func invalidName(text string) error {
	return &Error{Msg: fmt.Sprintf("'%s' is not a valid qualified name: A valid qualified name must be specified.", text), Code: exitUsage}
}

// parts are the name's path segments below a collection.
func (n name) parts() []string {
	if n.pkg == "" {
		return []string{n.entity}
	}
	return []string{n.pkg, n.entity}
}

// short is [pkg/]entity, full is /ns/[pkg/]entity.
func (n name) short() string { return strings.Join(n.parts(), "/") }
func (n name) full() string  { return "/" + n.namespace + "/" + n.short() }

// collection reads what list commands take: nothing, /ns, a package, or /ns/pkg.
func (c *client) collection(args []string) (namespace, pkg string, err error) {
	if len(args) == 0 {
		return c.namespace, "", nil
	}
	after, full := strings.CutPrefix(args[0], "/")
	if !full {
		return c.namespace, args[0], nil
	}
	namespace, pkg, _ = strings.Cut(after, "/")
	if namespace == "" {
		return "", "", invalidName(args[0])
	}
	return namespace, pkg, nil
}

// onlyNamespace reads what commands take that know no more than a namespace:
// nothing, or /ns.
func (c *client) onlyNamespace(args []string) (string, error) {
	namespace, rest, err := c.collection(args)
	if err == nil && rest != "" {
		err = usageError("An entity name, '%s', was provided instead of a namespace. Valid namespaces are of the following format: /NAMESPACE.", rest)
	}
	return namespace, err
}
