package api

import (
	"net/http"

	"millrace/whisk"
)

// right is what a caller wants to do with an entity.
type right int

const (
	read right = iota // also: activate
	write
)

func forbidden(resource string) error {
	return &whisk.Error{Status: http.StatusForbidden, Msg: whisk.MsgForbidden(resource)}
}

func notFound() error {
	return &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgNotFound}
}

func otherCollection() error {
	return &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgOtherCollection}
}

// own answers nil if namespace is the caller's, or the 403 that names resource.
func own(caller *whisk.Identity, namespace, resource string) error {
	if namespace == caller.Namespace {
		return nil
	}
	return forbidden(resource)
}

// authorizeAction answers the package of an action that the caller may use with
// this right, nil in the default package. To others a package that does not
// exist looks like a private one.
func (a *API) authorizeAction(caller *whisk.Identity, namespace, pkg, name string, want right) (*whisk.Package, error) {
	if pkg == "" {
		return nil, own(caller, namespace, namespace+"/"+name)
	}
	p, ok := a.Catalog.Package(namespace, pkg)
	if namespace != caller.Namespace {
		if !ok || !p.Publish || want == write {
			return nil, forbidden(namespace + "/" + pkg + "/" + name)
		}
		return p, nil
	}
	if !ok {
		return nil, a.missingPackage(namespace, pkg)
	}
	return p, nil
}

// authorizePackage answers a package that the caller may read.
func (a *API) authorizePackage(caller *whisk.Identity, namespace, name string) (*whisk.Package, error) {
	p, ok := a.Catalog.Package(namespace, name)
	if namespace != caller.Namespace && (!ok || !p.Publish) {
		return nil, forbidden(namespace + "/" + name)
	}
	if !ok {
		return nil, a.missingPackage(namespace, name)
	}
	return p, nil
}

// missingPackage tells the owner why there is no such package.
func (a *API) missingPackage(namespace, name string) error {
	if a.Catalog.Exists(namespace, "", name) {
		return otherCollection()
	}
	return &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgNamedNotFound(namespace + "/" + name)}
}

// inherited are the parameters that the actions of p get; p may be nil.
func inherited(p *whisk.Package) whisk.KeyValues {
	if p == nil {
		return nil
	}
	return p.Parameters
}
