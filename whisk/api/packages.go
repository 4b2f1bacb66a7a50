package api

import (
	"net/http"
	"time"

	"millrace/whisk"
)

// listPackages answers all packages to their owner, and the public ones to
// others.
func (a *API) listPackages(x *exchange, r *http.Request) (answer, error) {
	publicOnly := x.namespace != x.caller.Namespace
	count := func() int { return a.Catalog.CountPackages(x.namespace, publicOnly) }
	list := func(skip, limit int) []*whisk.Package {
		return a.Catalog.ListPackages(x.namespace, publicOnly, skip, limit)
	}
	return pageOf(r, "packages", count, list, appendPackageSummary)
}

func (a *API) showPackage(x *exchange, _ *http.Request) (answer, error) {
	folder, err := a.openPackage(x, x.name)
	if err != nil {
		return answer{}, err
	}
	p, ok := a.Catalog.Package(x.namespace, x.name)
	if !ok {
		return answer{}, whisk.NotFound() // deleted just now
	}
	actions := a.Catalog.ListActions(folder.Namespace, folder.Package, 0, 0)
	return answer{body: appendOpenPackage(nil, p, folder.Inherited, actions)}, nil
}

func (a *API) putPackage(x *exchange, r *http.Request) (answer, error) {
	if err := x.owned(); err != nil {
		return answer{}, err
	}
	if x.name == "default" {
		return answer{}, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgPackageReserved}
	}
	body, overwrite, err := a.putBody(x, r)
	if err != nil {
		return answer{}, err
	}
	put, err := whisk.ParsePackagePut(body, x.caller.SystemLimits(&a.Limits))
	if err != nil {
		return answer{}, err
	}
	old, exists := a.Catalog.Package(x.namespace, x.name)
	if err := a.replaceable(x.fullName(), exists, overwrite); err != nil {
		return answer{}, err
	}
	p := put.Apply(old, x.namespace, x.name, time.Now())
	if put.Binding != nil {
		if err := a.bindable(x.caller, old, *p.Binding); err != nil {
			return answer{}, err
		}
	}
	if p, err = a.Catalog.PutPackage(r.Context(), p); err != nil {
		return answer{}, err
	}
	return answer{body: appendPackage(nil, p)}, nil
}

// bindable answers nil if old, which may be nil, can become a binding of target.
func (a *API) bindable(caller *whisk.Identity, old *whisk.Package, target whisk.PackageName) error {
	p, ok := a.Catalog.Package(target.Namespace, target.Name)
	if target.Namespace != caller.Namespace && (!ok || !p.Public()) {
		return whisk.Forbidden(target.Path())
	}
	switch {
	case old != nil && old.Binding == nil:
		return &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgPackageNoBinding}
	case ok && p.Binding != nil:
		return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgBindingOfBinding}
	case ok:
		return nil
	case a.Catalog.Exists(target.Namespace, "", target.Name):
		return &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgBindingNotPackage}
	}
	return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgBindingMissing}
}

func (a *API) deletePackage(x *exchange, r *http.Request) (answer, error) {
	if err := x.owned(); err != nil {
		return answer{}, err
	}
	force, err := queryBool(r.URL.Query(), "force", false)
	if err != nil {
		return answer{}, err
	}
	p, ok := a.Catalog.Package(x.namespace, x.name)
	if !ok {
		return answer{}, a.absent(x.fullName())
	}
	actions := a.Catalog.ListActions(x.namespace, x.name, 0, 0)
	if len(actions) > 0 && !force {
		return answer{}, &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgPackageNotEmpty(len(actions))}
	}
	for _, act := range actions {
		if err := a.Catalog.DeleteAction(r.Context(), act); err != nil {
			return answer{}, err
		}
	}
	return answer{body: appendPackage(nil, p)}, a.Catalog.DeletePackage(r.Context(), p)
}
