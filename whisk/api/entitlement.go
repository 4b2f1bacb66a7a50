package api

import (
	"net/http"

	"millrace/whisk"
	"millrace/whisk/catalog"
)

// own answers nil if namespace is the caller's, or the 403 that names resource.
func own(caller *whisk.Identity, namespace, resource string) error {
	if namespace == caller.Namespace {
		return nil
	}
	return whisk.Forbidden(resource)
}

// fullName is what the path names.
func (x *exchange) fullName() whisk.FullName {
	return whisk.FullName{Namespace: x.namespace, Package: x.pkg, Name: x.name}
}

// owned answers nil if the caller owns what the path names.
func (x *exchange) owned() error { return own(x.caller, x.namespace, x.fullName().Path()) }

// openPackage answers what the caller finds in a package that it may read.
func (a *API) openPackage(x *exchange, name string) (catalog.Folder, error) {
	return a.Catalog.OpenPackage(x.caller, whisk.PackageName{Namespace: x.namespace, Name: name})
}

// writable answers nil if the caller may change the action that the path names.
func (a *API) writable(x *exchange) error {
	if err := x.owned(); err != nil {
		return err
	}
	if x.pkg == "" {
		return nil
	}
	if p, ok := a.Catalog.Package(x.namespace, x.pkg); ok && p.Binding != nil {
		return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgNotOnBinding}
	}
	_, err := a.Catalog.Folder(x.caller, x.fullName())
	return err
}

// absent answers why the caller's own entity of this name is not there: it
// is of another kind, or nothing is.
func (a *API) absent(n whisk.FullName) error {
	if a.Catalog.Exists(n.Namespace, n.Package, n.Name) {
		return whisk.OtherCollection()
	}
	return whisk.NotFound()
}

// replaceable answers nil if a PUT may write in place of an entity of its kind
// (exists), or where there is none.
func (a *API) replaceable(n whisk.FullName, exists, overwrite bool) error {
	switch {
	case exists && !overwrite:
		return &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgExists}
	case !exists && a.Catalog.Exists(n.Namespace, n.Package, n.Name):
		return whisk.OtherCollection()
	}
	return nil
}
