package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/invoke"
	"millrace/whisk/request"
)

// fireTrigger answers POST on a trigger.
func (a *API) fireTrigger(x *exchange, r *http.Request) (answer, error) {
	if err := a.Invoker.AdmitFire(x.caller); err != nil {
		return answer{}, err
	}
	if err := x.owned(); err != nil {
		return answer{}, err
	}
	body, err := a.payload(x, r)
	if err != nil {
		return answer{}, err
	}
	if err := checkPayload(body); err != nil {
		return answer{}, err
	}
	t, err := a.trigger(x)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Host", r.Host) // net/http keeps it apart
	f := firing{tid: x.tid, caller: x.caller, trigger: t, payload: body, headers: r.Header}
	id, err := a.fire(r.Context(), &f)
	if err != nil {
		return answer{}, err
	}
	if id == "" {
		return answer{status: http.StatusNoContent}, nil
	}
	out := append(appendText(nil, `{"activationId":`, id), '}')
	return answer{status: http.StatusAccepted, body: out, activationID: id}, nil
}

// FireLocal fires a trigger as POST on it does, for event sources in this
// process: caller must own it, and it counts against the caller's rates. payload
// is a JSON object or empty, and must not be changed afterwards. The activation
// id is empty if no rule of the trigger is active. When FireLocal returns, the
// calls of the rules' actions survive a crash; none of them has to have begun.
// Errors are *whisk.Error: 400, 403, 404, 409, 413, 429 or 500.
func (a *API) FireLocal(ctx context.Context, caller *whisk.Identity, trigger whisk.FullName, payload []byte) (activationID string, err error) {
	if err := a.Invoker.AdmitFire(caller); err != nil {
		return "", err
	}
	if err := own(caller, trigger.Namespace, trigger.Path()); err != nil {
		return "", err
	}
	if n, limit := int64(len(payload)), caller.SystemLimits(&a.Limits).Payload; n > limit {
		return "", payloadTooLarge(limit)(n)
	}
	if err := checkPayload(payload); err != nil {
		return "", err
	}
	t, ok := a.Catalog.Trigger(trigger.Namespace, trigger.Name)
	if !ok {
		return "", a.absent(trigger)
	}
	return a.fire(ctx, &firing{tid: request.TransactionID(""), caller: caller, trigger: t, payload: payload})
}

// mostFired bounds the arguments, in bytes, of all calls that one firing makes:
// they are written in one piece.
const mostFired = 32 << 20

// firing is one event.
type firing struct {
	tid     string
	caller  *whisk.Identity
	trigger *whisk.Trigger
	payload []byte
	headers http.Header // nil: it did not come by HTTP
}

// fire accepts calls of the actions of all active rules, and answers the id of
// the trigger's activation; it is empty if there is no active rule. All of it is
// one write, and no action is waited for.
func (a *API) fire(ctx context.Context, f *firing) (string, error) {
	rules := a.Catalog.Rules(f.trigger)
	if !slices.ContainsFunc(rules, func(r *whisk.Rule) bool { return r.Active }) {
		return "", nil
	}
	arguments := f.arguments()
	rec := f.record()
	calls := make([]*invoke.Call, 0, len(rules))
	for _, r := range rules {
		call, err := a.ruleCall(f, r, arguments, len(calls))
		if err == nil {
			calls = append(calls, call)
		}
		rec.Logs = append(rec.Logs, ruleLine(r, call, err))
	}
	if len(calls) == 0 {
		a.Activations.Put(rec) // nothing is promised that a crash could break
		return rec.ID, nil
	}
	return rec.ID, a.Invoker.AcceptAll(ctx, calls, rec)
}

// ruleCall makes the call that a rule asks for. others is how many calls the
// firing has made before. Errors are *whisk.Error and say in the record what the
// client would have been told.
func (a *API) ruleCall(f *firing, r *whisk.Rule, arguments []byte, others int) (*invoke.Call, error) {
	if !r.Active {
		text := whisk.MsgRuleInactive(r.Namespace+"/"+r.Name, r.Action.Path())
		return nil, &whisk.Error{Status: http.StatusConflict, Msg: text}
	}
	if (others+1)*len(arguments) > mostFired {
		return nil, &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTransportLimit}
	}
	if err := a.Invoker.AdmitAlso(f.caller, others); err != nil {
		return nil, err
	}
	found, err := a.Catalog.Resolve(f.caller, r.Action)
	if err != nil {
		return nil, err
	}
	return a.newCall(f.tid, f.caller, found, arguments)
}

// record makes the trigger's activation: it has no end, since nobody waits for
// the actions.
func (f *firing) record() *whisk.Activation {
	result := json.RawMessage("{}")
	if len(f.payload) > 0 {
		result = f.payload
	}
	return &whisk.Activation{
		Namespace: f.caller.Namespace, Name: f.trigger.Name, Version: f.trigger.Version, Subject: f.caller.Subject,
		ID: invoke.NewID(), Start: time.Now().UnixMilli(),
		Response: whisk.Response{Status: whisk.Success, Result: result},
	}
}

// ruleLine is the log line of one rule, itself JSON.
func ruleLine(r *whisk.Rule, call *invoke.Call, err error) string {
	b := make([]byte, 0, 192)
	if err == nil {
		b = appendText(b, `{"statusCode":0,"success":true,"activationId":`, call.ID)
	} else {
		status, text := 3, whisk.MsgInternal
		var e *whisk.Error
		if errors.As(err, &e) && e.Status < http.StatusInternalServerError {
			status, text = 1, e.Msg
		}
		b = appendInt(b, `{"statusCode":`, int64(status))
		b = appendText(b, `,"success":false,"error":`, text)
	}
	b = appendText(b, `,"rule":`, r.Namespace+"/"+r.Name)
	b = appendText(b, `,"action":`, r.Action.Path())
	return string(append(b, '}'))
}

const headersKey = "__ow_headers"

// arguments are what the actions get: the trigger's parameters, overridden by the
// request's headers, overridden by the payload's members.
func (f *firing) arguments() []byte {
	if len(f.trigger.Parameters) == 0 && f.headers == nil {
		return f.payload
	}
	given := memberNames(f.payload)
	b := make([]byte, 0, 512+f.trigger.Parameters.Size()+int64(len(f.payload)))
	b = append(b, '{')
	for i := range f.trigger.Parameters {
		kv := &f.trigger.Parameters[i]
		if given[kv.Key] || f.headers != nil && kv.Key == headersKey {
			continue
		}
		b = append(appendText(b, "", kv.Key), ':')
		b = append(append(b, kv.Value...), ',')
	}
	if f.headers != nil && !given[headersKey] {
		b = append(appendHeaders(append(b, `"__ow_headers":`...), f.headers), ',')
	}
	if inner := bytes.TrimSpace(f.payload); len(inner) > 0 {
		inner = bytes.TrimSpace(inner[1 : len(inner)-1])
		if len(inner) > 0 {
			return append(append(b, inner...), '}')
		}
	}
	return append(bytes.TrimSuffix(b, []byte(",")), '}')
}

func memberNames(object []byte) map[string]bool {
	names := map[string]bool{}
	gjson.ParseBytes(object).ForEach(func(key, _ gjson.Result) bool {
		names[key.String()] = true
		return true
	})
	return names
}

// secretHeaders say who the client is; an action has no use for them that would
// be worth the risk.
var secretHeaders = map[string]bool{"Authorization": true, "Proxy-Authorization": true, "Cookie": true}

// appendHeaders appends headers as an object with names in lower case.
func appendHeaders(b []byte, h http.Header) []byte {
	b = append(b, '{')
	start := len(b)
	for name, values := range h {
		if secretHeaders[name] {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(whisk.AppendString(b, strings.ToLower(name)), ':')
		b = whisk.AppendString(b, strings.Join(values, ", "))
	}
	return append(b, '}')
}
