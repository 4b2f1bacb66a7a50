package api

import (
	"net/http"
	"time"

	"millrace/whisk"
)

func (a *API) listRules(x *exchange, r *http.Request) (answer, error) {
	if err := own(x.caller, x.namespace, x.namespace); err != nil {
		return answer{}, err
	}
	count := func() int { return a.Catalog.CountRules(x.namespace) }
	list := func(skip, limit int) []*whisk.Rule { return a.Catalog.ListRules(x.namespace, skip, limit) }
	return pageOf(r, "rules", count, list, appendRuleSummary)
}

// rule finds the caller's own rule that the path names.
func (a *API) rule(x *exchange) (*whisk.Rule, error) {
	if err := x.owned(); err != nil {
		return nil, err
	}
	r, ok := a.Catalog.Rule(x.namespace, x.name)
	if !ok {
		return nil, a.absent(x.fullName())
	}
	return r, nil
}

// ruleActive tells whether firing calls the action of r.
func (a *API) ruleActive(r *whisk.Rule) bool { return r.Active && a.Catalog.Linked(r) != nil }

func (a *API) showRule(x *exchange, _ *http.Request) (answer, error) {
	r, err := a.rule(x)
	if err != nil {
		return answer{}, err
	}
	return answer{body: appendRule(nil, r, a.ruleActive(r))}, nil
}

func (a *API) putRule(x *exchange, r *http.Request) (answer, error) {
	if err := x.owned(); err != nil {
		return answer{}, err
	}
	body, overwrite, err := a.putBody(x, r)
	if err != nil {
		return answer{}, err
	}
	put, err := whisk.ParseRulePut(body, x.caller.SystemLimits(&a.Limits))
	if err != nil {
		return answer{}, err
	}
	if err := a.entitledRule(x.caller, put); err != nil {
		return answer{}, err
	}
	old, exists := a.Catalog.Rule(x.namespace, x.name)
	if err := a.replaceable(x.fullName(), exists, overwrite); err != nil {
		return answer{}, err
	}
	rule, err := put.Apply(old, x.namespace, x.name, time.Now())
	if err != nil {
		return answer{}, err
	}
	if err := a.link(x.caller, old, rule); err != nil {
		return answer{}, err
	}
	if rule, err = a.Catalog.PutRule(r.Context(), rule); err != nil {
		return answer{}, err
	}
	return answer{body: appendRule(nil, rule, rule.Active)}, nil
}

// entitledRule checks that the caller may use what the body refers to.
func (a *API) entitledRule(caller *whisk.Identity, put *whisk.RulePut) error {
	var names []whisk.FullName
	for _, n := range []*whisk.FullName{put.Trigger, put.Action} {
		if n != nil {
			names = append(names, n.In(caller.Namespace))
		}
	}
	return a.Catalog.Entitled(caller, names...)
}

// maxRules is how many rules one trigger may have: firing it looks at each, and says
// of each in its record what came of it.
const maxRules = 1000

// link links a rule to its trigger, if that and the action exist. The status
// stays what it was for clients: that of an orphan was inactive.
func (a *API) link(caller *whisk.Identity, old, rule *whisk.Rule) error {
	t, ok := a.Catalog.Trigger(rule.Trigger.Namespace, rule.Trigger.Name)
	if !ok {
		return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgTriggerMissing(rule.Trigger)}
	}
	if _, err := a.Catalog.Resolve(caller, rule.Action); err != nil {
		return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgActionMissing(rule.Action), Err: err}
	}
	if another := old == nil || old.TriggerID != t.ID; another && len(a.Catalog.Rules(t)) >= maxRules {
		return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgTooManyRules(maxRules)}
	}
	if old != nil {
		rule.Active = a.ruleActive(old)
	}
	rule.TriggerID = t.ID
	return nil
}

func (a *API) deleteRule(x *exchange, r *http.Request) (answer, error) {
	rule, err := a.rule(x)
	if err != nil {
		return answer{}, err
	}
	return answer{body: appendRule(nil, rule, false)}, a.Catalog.DeleteRule(r.Context(), rule)
}

// setRuleState answers POST on a rule, which says whether it is active.
func (a *API) setRuleState(x *exchange, r *http.Request) (answer, error) {
	if err := x.owned(); err != nil {
		return answer{}, err
	}
	body, err := a.payload(x, r)
	if err != nil {
		return answer{}, err
	}
	active, err := whisk.ParseRuleState(body)
	if err != nil {
		return answer{}, err
	}
	rule, err := a.rule(x)
	if err != nil {
		return answer{}, err
	}
	if active != a.ruleActive(rule) {
		if a.Catalog.Linked(rule) == nil {
			return answer{}, &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgRuleNeedsTrigger}
		}
		changed := *rule
		changed.Active = active
		if _, err := a.Catalog.PutRule(r.Context(), &changed); err != nil {
			return answer{}, err
		}
	}
	return answer{body: []byte("OK"), text: true}, nil
}

func ruleStatus(active bool) string {
	if active {
		return "active"
	}
	return "inactive"
}

// appendReference appends how a rule refers to its trigger or action.
func appendReference(b []byte, n whisk.FullName) []byte {
	b = appendText(b, `{"name":`, n.Name)
	b = appendText(b, `,"path":`, n.Folder())
	return append(b, '}')
}

func appendRule(b []byte, r *whisk.Rule, active bool) []byte {
	b = appendRuleHead(b, r)
	b = appendText(b, `,"status":`, ruleStatus(active))
	return appendRuleTail(b, r)
}

// appendRuleSummary appends a rule as lists show it.
func appendRuleSummary(b []byte, r *whisk.Rule) []byte {
	return appendRuleTail(appendRuleHead(b, r), r)
}

func appendRuleHead(b []byte, r *whisk.Rule) []byte {
	b = appendReference(append(b, `{"action":`...), r.Action)
	b = append(b, `,"annotations":`...)
	b = r.Annotations.AppendJSON(b)
	b = appendText(b, `,"name":`, r.Name)
	return appendText(b, `,"namespace":`, r.Namespace)
}

func appendRuleTail(b []byte, r *whisk.Rule) []byte {
	b = appendReference(append(b, `,"trigger":`...), r.Trigger)
	return appendTail(b, r.Publish, r.Updated, r.Version)
}
