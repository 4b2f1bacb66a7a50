package api

import (
	"context"
	"net/http"
	"time"

	"millrace/whisk"
)

func (a *API) listActions(x *exchange, r *http.Request) (answer, error) {
	if err := a.authorizeList(x); err != nil {
		return answer{}, err
	}
	p, err := queryPage(r.URL.Query(), "actions")
	if err != nil {
		return answer{}, err
	}
	if p.count {
		return answer{body: countDocument("actions", a.Catalog.CountActions(x.namespace, x.pkg), p.skip)}, nil
	}
	l := a.Catalog.ListActions(x.namespace, x.pkg, p.skip, p.limit)
	return answer{body: appendList(nil, l, appendActionSummary)}, nil
}

// authorizeList checks that the caller may list the actions of the namespace, or
// of the package if the path names one.
func (a *API) authorizeList(x *exchange) error {
	if x.pkg == "" {
		return own(x.caller, x.namespace, x.namespace)
	}
	_, err := a.authorizePackage(x.caller, x.namespace, x.pkg)
	return err
}

// action finds the action that the path names.
func (a *API) action(namespace, pkg, name string) (*whisk.Action, error) {
	if act, ok := a.Catalog.Action(namespace, pkg, name); ok {
		return act, nil
	}
	if a.Catalog.Exists(namespace, pkg, name) {
		return nil, otherCollection()
	}
	return nil, notFound()
}

func (a *API) showAction(x *exchange, r *http.Request) (answer, error) {
	pkg, err := a.authorizeAction(x.caller, x.namespace, x.pkg, x.name, read)
	if err != nil {
		return answer{}, err
	}
	withCode, err := queryBool(r.URL.Query(), "code", true)
	if err != nil {
		return answer{}, err
	}
	act, err := a.action(x.namespace, x.pkg, x.name)
	if err != nil {
		return answer{}, err
	}
	parameters := inherited(pkg).Merge(act.Parameters)
	if !withCode {
		return answer{body: appendAction(nil, act, parameters, nil)}, nil
	}
	return a.withCode(r.Context(), act, parameters)
}

// withCode answers an action and its code.
func (a *API) withCode(ctx context.Context, act *whisk.Action, parameters whisk.KeyValues) (answer, error) {
	code, err := a.Catalog.Code(ctx, act.Exec.Digest)
	if err != nil {
		return answer{}, err
	}
	if code == nil {
		code = []byte{} // empty code is shown too
	}
	b := make([]byte, 0, len(code)+len(code)/16+1024)
	return answer{body: appendAction(b, act, parameters, code)}, nil
}

func (a *API) putAction(x *exchange, r *http.Request) (answer, error) {
	if _, err := a.authorizeAction(x.caller, x.namespace, x.pkg, x.name, write); err != nil {
		return answer{}, err
	}
	overwrite, err := queryBool(r.URL.Query(), "overwrite", false)
	if err != nil {
		return answer{}, err
	}
	body, err := a.putBody(x, r)
	if err != nil {
		return answer{}, err
	}
	limits := x.caller.SystemLimits(&a.Limits)
	put, err := whisk.ParseActionPut(body, a.Manifest, limits)
	if err != nil {
		return answer{}, err
	}
	if put.Exec != nil {
		if err := x.caller.CheckKind(put.Exec.Kind); err != nil {
			return answer{}, err
		}
	}
	old, err := a.replaced(x, overwrite)
	if err != nil {
		return answer{}, err
	}
	act, err := put.Apply(old, x.namespace, x.pkg, x.name, limits.Defaults(), time.Now())
	if err != nil {
		return answer{}, err
	}
	if err := a.Manifest.CheckUsable(act.Exec.Kind); err != nil {
		return answer{}, err
	}
	if err := limits.Check(act.Limits, x.caller.Limits.MaxInstances()); err != nil {
		return answer{}, err
	}
	var code []byte
	if put.Exec != nil {
		code = []byte(put.Exec.Code)
	}
	if act, err = a.Catalog.PutAction(r.Context(), act, code); err != nil {
		return answer{}, err
	}
	return a.withCode(r.Context(), act, act.Parameters)
}

// replaced answers the action that a PUT replaces, nil if there is none.
func (a *API) replaced(x *exchange, overwrite bool) (*whisk.Action, error) {
	old, ok := a.Catalog.Action(x.namespace, x.pkg, x.name)
	switch {
	case ok && !overwrite:
		return nil, &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgExists}
	case !ok && a.Catalog.Exists(x.namespace, x.pkg, x.name):
		return nil, otherCollection()
	}
	return old, nil
}

func (a *API) deleteAction(x *exchange, r *http.Request) (answer, error) {
	if _, err := a.authorizeAction(x.caller, x.namespace, x.pkg, x.name, write); err != nil {
		return answer{}, err
	}
	act, err := a.action(x.namespace, x.pkg, x.name)
	if err != nil {
		return answer{}, err
	}
	out, err := a.withCode(r.Context(), act, act.Parameters)
	if err != nil {
		return answer{}, err
	}
	return out, a.Catalog.DeleteAction(r.Context(), act)
}
