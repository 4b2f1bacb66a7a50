package api

import (
	"net/http"
	"time"

	"millrace/whisk"
)

func (a *API) listTriggers(x *exchange, r *http.Request) (answer, error) {
	if err := own(x.caller, x.namespace, x.namespace); err != nil {
		return answer{}, err
	}
	count := func() int { return a.Catalog.CountTriggers(x.namespace) }
	list := func(skip, limit int) []*whisk.Trigger { return a.Catalog.ListTriggers(x.namespace, skip, limit) }
	return pageOf(r, "triggers", count, list, appendTriggerSummary)
}

// trigger finds the caller's own trigger that the path names.
func (a *API) trigger(x *exchange) (*whisk.Trigger, error) {
	if err := x.owned(); err != nil {
		return nil, err
	}
	t, ok := a.Catalog.Trigger(x.namespace, x.name)
	if !ok {
		return nil, a.absent(x.fullName())
	}
	return t, nil
}

func (a *API) triggerDocument(t *whisk.Trigger) answer {
	return answer{body: appendTrigger(nil, t, a.Catalog.Rules(t))}
}

func (a *API) showTrigger(x *exchange, _ *http.Request) (answer, error) {
	t, err := a.trigger(x)
	if err != nil {
		return answer{}, err
	}
	return a.triggerDocument(t), nil
}

func (a *API) putTrigger(x *exchange, r *http.Request) (answer, error) {
	if err := x.owned(); err != nil {
		return answer{}, err
	}
	body, overwrite, err := a.putBody(x, r)
	if err != nil {
		return answer{}, err
	}
	put, err := whisk.ParseTriggerPut(body, x.caller.SystemLimits(&a.Limits))
	if err != nil {
		return answer{}, err
	}
	old, exists := a.Catalog.Trigger(x.namespace, x.name)
	if err := a.replaceable(x.fullName(), exists, overwrite); err != nil {
		return answer{}, err
	}
	t, err := put.Apply(old, x.namespace, x.name, time.Now())
	if err != nil {
		return answer{}, err
	}
	if t, err = a.Catalog.PutTrigger(r.Context(), t); err != nil {
		return answer{}, err
	}
	return a.triggerDocument(t), nil
}

func (a *API) deleteTrigger(x *exchange, r *http.Request) (answer, error) {
	t, err := a.trigger(x)
	if err != nil {
		return answer{}, err
	}
	out := a.triggerDocument(t)
	return out, a.Catalog.DeleteTrigger(r.Context(), t)
}

// appendTrigger appends a trigger and its rules, if it has any.
func appendTrigger(b []byte, t *whisk.Trigger, rules []*whisk.Rule) []byte {
	b = append(b, `{"annotations":`...)
	b = t.Annotations.AppendJSON(b)
	b = appendText(b, `,"limits":{},"name":`, t.Name)
	b = appendText(b, `,"namespace":`, t.Namespace)
	b = append(b, `,"parameters":`...)
	b = t.Parameters.AppendJSON(b)
	for i, r := range rules {
		b = append(b, rulesSeparator(i)...)
		b = whisk.AppendString(b, r.Namespace+"/"+r.Name)
		b = appendReference(append(b, `:{"action":`...), r.Action)
		b = appendText(b, `,"status":`, ruleStatus(r.Active))
		b = append(b, '}')
	}
	if len(rules) > 0 {
		b = append(b, '}')
	}
	return appendTail(b, t.Publish, t.Updated, t.Version)
}

func rulesSeparator(i int) string {
	if i == 0 {
		return `,"rules":{`
	}
	return ","
}

// appendTriggerSummary appends a trigger as lists show it.
func appendTriggerSummary(b []byte, t *whisk.Trigger) []byte {
	b = append(b, `{"annotations":`...)
	b = t.Annotations.AppendJSON(b)
	b = appendText(b, `,"name":`, t.Name)
	b = appendText(b, `,"namespace":`, t.Namespace)
	return appendTail(b, t.Publish, t.Updated, t.Version)
}
