package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
)

// invocation is a request to call an action, over HTTP or from the gateway. Its
// steps must be taken in the order of their definition here: clients can tell
// which check came first.
type invocation struct {
	tid    string
	caller *whisk.Identity
	action whisk.FullName

	blocking, result bool
	wait             time.Duration
	body             []byte

	folder catalog.Folder // where the action is; set by admit
}

// invokeAction answers POST on an action.
func (a *API) invokeAction(x *exchange, r *http.Request) (answer, error) {
	in := invocation{tid: x.tid, caller: x.caller, action: x.fullName()}
	if err := a.admit(&in); err != nil {
		return answer{}, err
	}
	var err error
	if in.body, err = a.payload(x, r); err != nil {
		return answer{}, err
	}
	q := r.URL.Query()
	if in.blocking, err = queryBool(q, "blocking", false); err != nil {
		return answer{}, err
	}
	if in.result, err = queryBool(q, "result", false); err != nil {
		return answer{}, err
	}
	if in.wait, err = queryWait(q); err != nil {
		return answer{}, err
	}
	in.wait = min(in.wait, a.Limits.BlockingWait)
	return a.call(r.Context(), &in)
}

// payload reads the body of a POST; there may be none.
func (a *API) payload(x *exchange, r *http.Request) ([]byte, error) {
	limit := x.caller.SystemLimits(&a.Limits).Payload
	body, err := a.readBody(x, r, limit, payloadTooLarge(limit))
	x.letGo()
	if err == nil && len(body) > 0 {
		err = checkJSONBody(r)
	}
	return body, err
}

// admit checks throttles and rights.
func (a *API) admit(in *invocation) error {
	if err := a.Invoker.Admit(in.caller); err != nil {
		return err
	}
	var err error
	in.folder, err = a.Catalog.Folder(in.caller, in.action)
	return err
}

// payloadTooLarge makes the 413 for a body over the limit of its caller.
func payloadTooLarge(limit int64) func(size int64) error {
	return func(size int64) error {
		return &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTooLarge("Request", size, limit)}
	}
}

// call checks the body, finds the action and runs it.
func (a *API) call(ctx context.Context, in *invocation) (answer, error) {
	if err := checkPayload(in.body); err != nil {
		return answer{}, err
	}
	found, err := a.Catalog.ActionIn(in.folder, in.action.Name)
	if err != nil {
		return answer{}, err
	}
	call, err := a.newCall(in.tid, in.caller, found, in.body)
	if err != nil {
		return answer{}, err
	}
	call.Blocking, call.Wait = in.blocking, in.wait
	rec, err := a.Invoker.Invoke(ctx, call)
	if err != nil {
		return answer{}, err
	}
	return callAnswer(call, rec, in.result), nil
}

// newCall makes a call of an action that was found, if the caller may call it
// with this payload.
func (a *API) newCall(tid string, caller *whisk.Identity, found *whisk.Resolved, payload []byte) (*invoke.Call, error) {
	act := found.Action
	if err := a.Manifest.CheckUsable(act.Exec.Kind); err != nil {
		return nil, err
	}
	if err := caller.CheckKind(act.Exec.Kind); err != nil {
		return nil, err
	}
	if overridesFinal(act, found.Inherited, payload) {
		return nil, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgReservedProperties}
	}
	return &invoke.Call{
		ID: invoke.NewID(), TransactionID: tid, Caller: caller,
		Action: act, Inherited: found.Inherited, Binding: found.Binding, Payload: payload,
	}, nil
}

// checkPayload checks that a body, if there is one, is a JSON object.
func checkPayload(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	err := whisk.CheckJSON(body)
	if err == nil && !whisk.IsObject(body) {
		err = errors.New(whisk.MsgPayloadNotObject)
	}
	if err == nil {
		return nil
	}
	return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgMalformed(err.Error())}
}

// overridesFinal tells whether a body gives a parameter that it must not.
func overridesFinal(act *whisk.Action, inherited whisk.KeyValues, body []byte) bool {
	immutable := act.Immutable(inherited)
	if len(immutable) == 0 {
		return false
	}
	found := false
	gjson.ParseBytes(body).ForEach(func(key, _ gjson.Result) bool {
		found = immutable[key.String()]
		return !found
	})
	return found
}

// callAnswer makes the answer to a call from its record, which is nil while the
// call runs on.
func callAnswer(call *invoke.Call, rec *whisk.Activation, resultOnly bool) answer {
	if rec == nil {
		body := append(appendText(nil, `{"activationId":`, call.ID), '}')
		return answer{status: http.StatusAccepted, body: body, activationID: call.ID}
	}
	out := answer{status: callStatus(rec.Response.Status), activationID: call.ID}
	if resultOnly || whisk.IsArray(rec.Response.Result) {
		out.body = bytes.TrimSpace(rec.Response.Result)
		return out
	}
	out.body = rec.AppendJSON(make([]byte, 0, 768+len(rec.Response.Result)), nil)
	return out
}

func callStatus(s whisk.Status) int {
	switch s {
	case whisk.Success:
		return http.StatusOK
	case whisk.ApplicationError, whisk.DeveloperError:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}
