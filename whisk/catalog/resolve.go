package catalog

import (
	"errors"
	"net/http"

	"millrace/whisk"
)

// Folder is where a caller finds actions: a namespace, or a package, perhaps
// through a binding of it.
type Folder struct {
	// Namespace and Package are the provider's; Package may be empty.
	Namespace, Package string
	// Inherited are the parameters of the package and then of the binding.
	Inherited whisk.KeyValues
	// Binding is ns/pkg of the binding that leads here, or empty.
	Binding string
}

// Resolve finds the action that caller means by n and may call: one of its own
// namespace, or of a package that everyone may use, also through a binding of the
// caller's own. To others than the owner a package that does not exist looks like
// a private one. Errors are *whisk.Error: 403, 404, 409 or 422.
func (c *Catalog) Resolve(caller *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error) {
	f, err := c.Folder(caller, n)
	if err != nil {
		return nil, err
	}
	return c.ActionIn(f, n.Name)
}

// Folder answers where caller finds n, if it may read and call what is there;
// whether that exists is another matter. Errors are as Resolve's.
func (c *Catalog) Folder(caller *whisk.Identity, n whisk.FullName) (Folder, error) {
	if n.Package == "" {
		if n.Namespace != caller.Namespace {
			return Folder{}, whisk.Forbidden(n.Path())
		}
		return Folder{Namespace: n.Namespace}, nil
	}
	f, err := c.open(caller, whisk.PackageName{Namespace: n.Namespace, Name: n.Package})
	if err == errRefused {
		err = whisk.Forbidden(n.Path())
	}
	return f, err
}

// ActionIn answers the action of this name, or the *whisk.Error 404 or 409.
func (c *Catalog) ActionIn(f Folder, name string) (*whisk.Resolved, error) {
	a, ok := c.Action(f.Namespace, f.Package, name)
	if !ok {
		if c.Exists(f.Namespace, f.Package, name) {
			return nil, whisk.OtherCollection()
		}
		return nil, whisk.NotFound()
	}
	return &whisk.Resolved{Action: a, Inherited: f.Inherited, Binding: f.Binding}, nil
}

// OpenPackage answers the folder of a package that caller may read and call the
// actions of, following bindings. Errors are as Resolve's.
func (c *Catalog) OpenPackage(caller *whisk.Identity, n whisk.PackageName) (Folder, error) {
	f, err := c.open(caller, n)
	if err == errRefused {
		err = whisk.Forbidden(n.Path())
	}
	return f, err
}

// errRefused: the caller may not read a package; what the 403 names, open does
// not know.
var errRefused = errors.New("refused")

// mostLinks is how many bindings may lead to a package. One is usual; more come
// about when what was bound is replaced by a binding, and without end in a circle.
const mostLinks = 16

func (c *Catalog) open(caller *whisk.Identity, n whisk.PackageName) (Folder, error) {
	p, err := c.readable(caller, n)
	if err != nil {
		return Folder{}, err
	}
	f := Folder{Namespace: n.Namespace, Package: n.Name, Inherited: p.Parameters}
	if p.Binding != nil {
		f.Binding = n.Path()
	}
	for links := 0; p.Binding != nil; links++ {
		if links == mostLinks {
			return Folder{}, &whisk.Error{Status: http.StatusUnprocessableEntity, Msg: whisk.MsgPackageCircular(n.Path())}
		}
		f.Namespace, f.Package = p.Binding.Namespace, p.Binding.Name
		if p, err = c.readable(caller, *p.Binding); err != nil {
			return Folder{}, err
		}
		f.Inherited = p.Parameters.Merge(f.Inherited)
	}
	return f, nil
}

// readable answers the package or binding that caller may read, errRefused, or
// the *whisk.Error 404 or 409 that tells the owner what is there in its place.
func (c *Catalog) readable(caller *whisk.Identity, n whisk.PackageName) (*whisk.Package, error) {
	p, ok := c.Package(n.Namespace, n.Name)
	switch {
	case n.Namespace != caller.Namespace && (!ok || !p.Public()):
		return nil, errRefused
	case ok:
		return p, nil
	case c.Exists(n.Namespace, "", n.Name):
		return nil, whisk.OtherCollection()
	}
	return nil, &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgNamedNotFound(n.Path())}
}
