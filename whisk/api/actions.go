package api

import (
	"context"
	"net/http"
	"time"
	"unsafe"

	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
)

func (a *API) listActions(x *exchange, r *http.Request) (answer, error) {
	folder, err := a.listed(x)
	if err != nil {
		return answer{}, err
	}
	count := func() int { return a.Catalog.CountActions(folder.Namespace, folder.Package) }
	list := func(skip, limit int) []*whisk.Action {
		return a.Catalog.ListActions(folder.Namespace, folder.Package, skip, limit)
	}
	return pageOf(r, "actions", count, list, appendActionSummary)
}

// listed answers the namespace, or the package if the path names one, whose
// actions the caller may list.
func (a *API) listed(x *exchange) (catalog.Folder, error) {
	if x.pkg != "" {
		return a.openPackage(x, x.pkg)
	}
	return catalog.Folder{Namespace: x.namespace}, own(x.caller, x.namespace, x.namespace)
}

func (a *API) showAction(x *exchange, r *http.Request) (answer, error) {
	folder, err := a.Catalog.Folder(x.caller, x.fullName())
	if err != nil {
		return answer{}, err
	}
	withCode, err := queryBool(r.URL.Query(), "code", true)
	if err != nil {
		return answer{}, err
	}
	found, err := a.Catalog.ActionIn(folder, x.name)
	if err != nil {
		return answer{}, err
	}
	act := found.Action
	parameters := found.Inherited.Merge(act.Parameters)
	if !withCode {
		return answer{body: appendBoundAction(nil, act, parameters, nil, found.Binding)}, nil
	}
	return a.withCode(r.Context(), x.namespace, act, parameters)
}

// largeCode is from where actions are written in turn, in bytes.
const largeCode = 1 << 20

// withCode answers an action and its code, in its turn.
func (a *API) withCode(ctx context.Context, namespace string, act *whisk.Action, parameters whisk.KeyValues) (answer, error) {
	if act.Exec.Kind == whisk.KindSequence {
		return answer{body: appendAction(nil, act, parameters, nil)}, nil
	}
	leave, err := a.codes.enter(ctx, namespace)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	code, err := a.Catalog.Code(ctx, act.Exec.Digest)
	if err != nil {
		return answer{}, err
	}
	return actionAnswer(act, parameters, code), nil
}

func actionAnswer(act *whisk.Action, parameters whisk.KeyValues, code []byte) answer {
	if code == nil {
		code = []byte{} // empty code is shown too
	}
	b := make([]byte, 0, len(code)+len(code)/16+1024)
	return answer{body: appendAction(b, act, parameters, code)}
}

func (a *API) putAction(x *exchange, r *http.Request) (answer, error) {
	if err := a.writable(x); err != nil {
		return answer{}, err
	}
	body, overwrite, err := a.putBody(x, r)
	if err != nil {
		return answer{}, err
	}
	act, code, err := a.replaceAction(x, r, body, overwrite)
	if err != nil {
		return answer{}, err
	}
	if code != nil {
		return actionAnswer(act, act.Parameters, code), nil
	}
	return a.withCode(r.Context(), x.namespace, act, act.Parameters)
}

// replaceAction stores the action that a PUT makes and answers it, with its code if
// that was given. Large bodies wait for their turn.
func (a *API) replaceAction(x *exchange, r *http.Request, body []byte, overwrite bool) (*whisk.Action, []byte, error) {
	if len(body) > largeCode {
		leave, err := a.codes.enter(r.Context(), x.namespace)
		if err != nil {
			return nil, nil, err
		}
		defer leave()
	}
	put, err := whisk.ParseActionPut(body, a.Manifest, x.caller.SystemLimits(&a.Limits))
	if err != nil {
		return nil, nil, err
	}
	old, exists := a.Catalog.Action(x.namespace, x.pkg, x.name)
	if err := a.replaceable(x.fullName(), exists, overwrite); err != nil {
		return nil, nil, err
	}
	act, err := a.changed(x, put, old)
	if err != nil {
		return nil, nil, err
	}
	var code []byte
	if put.Exec != nil && put.Exec.Kind != whisk.KindSequence {
		code = []byte{}
		if put.Exec.Code != "" {
			code = unsafe.Slice(unsafe.StringData(put.Exec.Code), len(put.Exec.Code)) // which nobody changes
		}
	}
	act, err = a.Catalog.PutAction(r.Context(), act, code)
	return act, code, err
}

// changed answers the action that a PUT makes of old (nil: there is none), if
// the caller may have it.
func (a *API) changed(x *exchange, put *whisk.ActionPut, old *whisk.Action) (*whisk.Action, error) {
	limits := x.caller.SystemLimits(&a.Limits)
	act, err := put.Apply(old, x.namespace, x.pkg, x.name, limits.Defaults(), time.Now())
	if err != nil {
		return nil, err
	}
	if err := invoke.CheckPolicy(act.Annotations); err != nil {
		return nil, err
	}
	if err := a.Manifest.CheckUsable(act.Exec.Kind); err != nil {
		return nil, err
	}
	if put.Exec != nil {
		if err := x.caller.CheckKind(put.Exec.Kind); err != nil {
			return nil, err
		}
	}
	if put.Exec != nil && put.Exec.Kind == whisk.KindSequence {
		if err := a.Catalog.CheckSequence(x.caller, x.fullName(), act.Exec.Components, limits.SequenceLength); err != nil {
			return nil, err
		}
	}
	return act, limits.Check(act.Limits, x.caller.Limits.MaxInstances())
}

func (a *API) deleteAction(x *exchange, r *http.Request) (answer, error) {
	if err := a.writable(x); err != nil {
		return answer{}, err
	}
	act, ok := a.Catalog.Action(x.namespace, x.pkg, x.name)
	if !ok {
		return answer{}, a.absent(x.fullName())
	}
	out, err := a.withCode(r.Context(), x.namespace, act, act.Parameters)
	if err != nil {
		return answer{}, err
	}
	return out, a.Catalog.DeleteAction(r.Context(), act)
}
