package catalog

import (
	"net/http"

	"millrace/whisk"
)

// Resolve finds the action that caller means by n and may call: one of its own
// namespace, or of a package that everyone may use, also through a binding of the
// caller's own or a public one. To others than the owner a package that does not
// exist looks like a private one. Errors are *whisk.Error: 403, 404 or 409.
func (c *Catalog) Resolve(caller *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error) {
	var r whisk.Resolved
	if n.Package == "" {
		if n.Namespace != caller.Namespace {
			return nil, whisk.Forbidden(n.Path())
		}
	} else {
		p, err := c.readable(caller, n.Namespace, n.Package, n.Path())
		if err != nil {
			return nil, err
		}
		r.Inherited = p.Parameters
	}
	a, ok := c.Action(n.Namespace, n.Package, n.Name)
	if !ok {
		if c.Exists(n.Namespace, n.Package, n.Name) {
			return nil, whisk.OtherCollection()
		}
		return nil, whisk.NotFound()
	}
	r.Action = a
	return &r, nil
}

// readable answers the package that caller may read and call the actions of.
func (c *Catalog) readable(caller *whisk.Identity, namespace, name, resource string) (*whisk.Package, error) {
	p, ok := c.Package(namespace, name)
	switch {
	case namespace != caller.Namespace && (!ok || !p.Publish):
		return nil, whisk.Forbidden(resource)
	case ok:
		return p, nil
	case c.Exists(namespace, "", name):
		return nil, whisk.OtherCollection()
	}
	return nil, &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgNamedNotFound(namespace + "/" + name)}
}
