package api

import (
	"net/http"

	"millrace/whisk"
)

func (a *API) listNamespaces(x *exchange, _ *http.Request) (answer, error) {
	return answer{body: appendList(nil, []string{x.caller.Namespace}, whisk.AppendString)}, nil
}

func (a *API) showLimits(x *exchange, _ *http.Request) (answer, error) {
	if err := own(x.caller, x.namespace, x.namespace); err != nil {
		return answer{}, err
	}
	l, ns := x.caller.SystemLimits(&a.Limits), x.caller.Limits
	b := appendInt(nil, `{"concurrentInvocations":`, int64(ns.ConcurrentInvocations))
	b = appendInt(b, `,"firesPerMinute":`, int64(ns.FiresPerMinute))
	b = appendInt(b, `,"invocationsPerMinute":`, int64(ns.InvocationsPerMinute))
	for _, r := range []struct {
		name string
		whisk.Range
	}{{"Concurrency", l.Concurrency}, {"Logs", l.LogsMB}, {"Memory", l.MemoryMB}, {"Timeout", l.TimeoutMS}} {
		b = appendInt(b, `,"maxAction`+r.name+`":`, int64(r.Max))
		b = appendInt(b, `,"minAction`+r.name+`":`, int64(r.Min))
	}
	b = appendInt(b, `,"maxActionInstances":`, int64(ns.MaxInstances()))
	b = appendInt(b, `,"maxParameterSize":"`, l.Parameters)
	return answer{body: append(b, ` B"}`...)}, nil
}
