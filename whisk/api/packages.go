package api

import (
	"net/http"
	"time"

	"millrace/whisk"
)

// listPackages answers all packages to their owner, and the public ones to
// others.
func (a *API) listPackages(x *exchange, r *http.Request) (answer, error) {
	p, err := queryPage(r.URL.Query(), "packages")
	if err != nil {
		return answer{}, err
	}
	publicOnly := x.namespace != x.caller.Namespace
	if p.count {
		return answer{body: countDocument("packages", a.Catalog.CountPackages(x.namespace, publicOnly), p.skip)}, nil
	}
	l := a.Catalog.ListPackages(x.namespace, publicOnly, p.skip, p.limit)
	return answer{body: appendList(nil, l, appendPackageSummary)}, nil
}

func (a *API) showPackage(x *exchange, _ *http.Request) (answer, error) {
	p, err := a.authorizePackage(x.caller, x.namespace, x.name)
	if err != nil {
		return answer{}, err
	}
	actions := a.Catalog.ListActions(x.namespace, x.name, 0, 0)
	return answer{body: appendPackage(nil, p, true, actions)}, nil
}

func (a *API) putPackage(x *exchange, r *http.Request) (answer, error) {
	if err := own(x.caller, x.namespace, x.namespace+"/"+x.name); err != nil {
		return answer{}, err
	}
	if x.name == "default" {
		return answer{}, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgPackageReserved}
	}
	overwrite, err := queryBool(r.URL.Query(), "overwrite", false)
	if err != nil {
		return answer{}, err
	}
	body, err := a.putBody(x, r)
	if err != nil {
		return answer{}, err
	}
	put, err := whisk.ParsePackagePut(body, x.caller.SystemLimits(&a.Limits))
	if err != nil {
		return answer{}, err
	}
	old, ok := a.Catalog.Package(x.namespace, x.name)
	switch {
	case ok && !overwrite:
		return answer{}, &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgExists}
	case !ok && a.Catalog.Exists(x.namespace, "", x.name):
		return answer{}, otherCollection()
	}
	p, err := a.Catalog.PutPackage(r.Context(), put.Apply(old, x.namespace, x.name, time.Now()))
	if err != nil {
		return answer{}, err
	}
	return answer{body: appendPackage(nil, p, false, nil)}, nil
}

func (a *API) deletePackage(x *exchange, r *http.Request) (answer, error) {
	if err := own(x.caller, x.namespace, x.namespace+"/"+x.name); err != nil {
		return answer{}, err
	}
	force, err := queryBool(r.URL.Query(), "force", false)
	if err != nil {
		return answer{}, err
	}
	p, ok := a.Catalog.Package(x.namespace, x.name)
	if !ok {
		if a.Catalog.Exists(x.namespace, "", x.name) {
			return answer{}, otherCollection()
		}
		return answer{}, notFound()
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
	return answer{body: appendPackage(nil, p, false, nil)}, a.Catalog.DeletePackage(r.Context(), p)
}
