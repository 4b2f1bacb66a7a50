package api

import (
	"context"
	"net/http"
	"time"

	"millrace/whisk"
	"millrace/whisk/request"
)

// LocalCall is what the gateway's openwhisk plugin asks of the functions in its
// own process: POST …/actions/[package/]action?blocking=true&result=…&timeout=….
type LocalCall struct {
	Token                      string // uuid:secret
	Namespace, Package, Action string // not percent-encoded; Package may be empty
	Result                     bool
	Wait                       time.Duration // 1 ms to 60 s
	Body                       []byte        // not used after the return; empty for none
	TransactionID              string        // empty: a new one
}

// InvokeLocal makes a blocking call without HTTP. Status, body and activation id
// (empty unless the call was accepted) are the same as over HTTP with Basic
// authentication and a body labelled as JSON. If ctx ends first, the call runs on
// and the answer is of no use. The answer's body belongs to the activation record:
// read, never write.
func (a *API) InvokeLocal(ctx context.Context, in LocalCall) (status int, body []byte, activationID string) {
	tid := request.TransactionID(in.TransactionID)
	out, err := a.invokeLocal(ctx, tid, &in)
	if err != nil {
		out = a.failure(tid, err)
	}
	return out.status, out.body, out.activationID
}

func (a *API) invokeLocal(ctx context.Context, tid string, local *LocalCall) (answer, error) {
	caller, err := a.Identities.Authenticate(local.Token)
	if err != nil {
		return answer{}, err
	}
	if local.Namespace == "" || local.Action == "" {
		return answer{}, errNoSuchPath()
	}
	in := invocation{
		tid: tid, caller: caller,
		action:   whisk.FullName{Namespace: local.Namespace, Package: local.Package, Name: local.Action}.In(caller.Namespace),
		blocking: true, result: local.Result,
	}
	if err := checkPath(in.action.Namespace, in.action.Package, in.action.Name); err != nil {
		return answer{}, err
	}
	if err := a.admit(&in); err != nil {
		return answer{}, err
	}
	if n, limit := int64(len(local.Body)), caller.SystemLimits(&a.Limits).Payload; n > limit {
		return answer{}, payloadTooLarge(limit)(n)
	}
	if in.wait, err = checkWait(local.Wait.Milliseconds()); err != nil {
		return answer{}, err
	}
	in.wait = min(in.wait, a.Limits.BlockingWait)
	in.body = local.Body
	return a.call(ctx, &in)
}

var _ http.Handler = (*API)(nil)
