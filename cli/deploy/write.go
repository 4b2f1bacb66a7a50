package deploy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/cli/remote"
	"millrace/whisk"
)

// deployment are the steps that write the plan, each after what it needs.
func (s *session) deployment() []step {
	var steps []step
	add := func(kind, name string, do func(context.Context) (string, error)) {
		steps = append(steps, step{kind: kind, name: name, do: do})
	}
	for _, bindings := range []bool{false, true} {
		for i := range s.plan.Packages {
			if p := &s.plan.Packages[i]; (p.Binding != nil) == bindings {
				add(kindOf(p), p.Name, func(ctx context.Context) (string, error) { return "", s.putPackage(ctx, p) })
			}
		}
	}
	actions, _ := s.plan.Ordered()
	for _, a := range actions {
		kind := "action"
		if a.IsSequence() {
			kind = "sequence"
		}
		add(kind, a.Path(), func(ctx context.Context) (string, error) { return "", s.putAction(ctx, a) })
	}
	for i := range s.plan.Triggers {
		t := &s.plan.Triggers[i]
		add("trigger", t.Name, func(ctx context.Context) (string, error) { return "", s.putTrigger(ctx, t) })
	}
	for i := range s.plan.Rules {
		r := &s.plan.Rules[i]
		add("rule", r.Name, func(ctx context.Context) (string, error) { return "", s.putRule(ctx, r) })
	}
	return append(steps, s.apiSteps()...)
}

func kindOf(p *plan.Package) string {
	if p.Binding != nil {
		return "binding"
	}
	return "package"
}

// entity is a path of the namespace: a collection and a name with or without a package.
func (s *session) entity(collection, name string) string {
	return s.path(s.namespace, collection, name)
}

func (s *session) path(namespace, collection, name string) string {
	return remote.Path(append([]string{"namespaces", namespace, collection}, strings.Split(name, "/")...)...)
}

var overwrite = url.Values{"overwrite": {"true"}}

func (s *session) put(ctx context.Context, collection, name string, body any) error {
	return s.client.Do(ctx, http.MethodPut, s.entity(collection, name), overwrite, body, nil)
}

type packageBody struct {
	Version     string             `json:"version,omitempty"`
	Publish     *bool              `json:"publish,omitempty"`
	Parameters  whisk.KeyValues    `json:"parameters"`
	Annotations whisk.KeyValues    `json:"annotations"`
	Binding     *whisk.PackageName `json:"binding,omitempty"`
}

func (s *session) putPackage(ctx context.Context, p *plan.Package) error {
	body := packageBody{p.Version, p.Public, p.Parameters, p.Annotations, p.Binding}
	return s.put(ctx, "packages", p.Name, body)
}

type actionBody struct {
	Version        string          `json:"version,omitempty"`
	Exec           plan.Exec       `json:"exec"`
	Limits         *plan.Limits    `json:"limits,omitempty"`
	Parameters     whisk.KeyValues `json:"parameters"`
	Annotations    whisk.KeyValues `json:"annotations"`
	DelAnnotations []string        `json:"delAnnotations,omitempty"`
}

// annotated is what matters of an entity that exists.
type annotated struct {
	Annotations whisk.KeyValues `json:"annotations"`
}

// putAction writes an action. The platform keeps the annotations that an update
// does not name, so those that the file lacks are taken away by name: an action that
// is no web action any more must not stay one.
func (s *session) putAction(ctx context.Context, a *plan.Action) error {
	var old annotated
	err := s.client.Do(ctx, http.MethodGet, s.entity("actions", a.Path()), withoutCode, nil, &old)
	if err != nil && !remote.IsStatus(err, http.StatusNotFound) {
		return err
	}
	body := actionBody{Version: a.Version, Exec: a.Exec, Parameters: a.Parameters, Annotations: s.secured(a, old.Annotations)}
	if a.Limits != (plan.Limits{}) {
		body.Limits = &a.Limits
	}
	for _, kv := range old.Annotations {
		if kv.Key != whisk.AnnotationExec && kv.Key != whisk.AnnotationProvideAPIKey && body.Annotations.Find(kv.Key) == nil {
			body.DelAnnotations = append(body.DelAnnotations, kv.Key)
		}
	}
	return s.put(ctx, "actions", a.Path(), body)
}

var withoutCode = url.Values{"code": {"false"}}

// secured adds the secret of an action that only its API is to call: the one it has,
// so that the API goes on working while it is written anew, or a new one.
func (s *session) secured(a *plan.Action, old whisk.KeyValues) whisk.KeyValues {
	if !a.Secured {
		return a.Annotations
	}
	secret := old.Find(plan.AnnotationSecret)
	if len(secret) < 3 || secret[0] != '"' {
		secret = document.Quote(rand.Text() + rand.Text())
	}
	return a.Annotations.With(plan.AnnotationSecret, secret)
}

type ruleBody struct {
	Trigger     string          `json:"trigger"`
	Action      string          `json:"action"`
	Annotations whisk.KeyValues `json:"annotations"`
}

func (s *session) putRule(ctx context.Context, r *plan.Rule) error {
	body := ruleBody{s.full(r.Trigger), s.full(r.Action), r.Annotations}
	if err := s.put(ctx, "rules", r.Name, body); err != nil {
		return err
	}
	return s.client.Do(ctx, http.MethodPost, s.entity("rules", r.Name), nil, map[string]string{"status": "active"}, nil)
}

// full is a name with the namespace in place of _.
func (s *session) full(name string) string {
	if after, ok := strings.CutPrefix(name, "/_/"); ok {
		return "/" + s.namespace + "/" + after
	}
	return name
}

type triggerBody struct {
	Parameters  whisk.KeyValues `json:"parameters"`
	Annotations whisk.KeyValues `json:"annotations"`
}

// putTrigger writes a trigger and tells its feed. One that it had before is told
// that it is gone; a new trigger whose feed cannot be set up is taken away again.
func (s *session) putTrigger(ctx context.Context, t *plan.Trigger) error {
	var old annotated
	err := s.client.Do(ctx, http.MethodGet, s.entity("triggers", t.Name), nil, nil, &old)
	isNew := remote.IsStatus(err, http.StatusNotFound)
	if err != nil && !isNew {
		return err
	}
	if feed := textOf(old.Annotations.Find(whisk.AnnotationFeed)); feed != "" {
		if err := s.tellFeed(ctx, feed, t.Name, "DELETE", nil); err != nil {
			s.report.warn("the feed " + feed + " that trigger " + t.Name + " had was not told of its end: " + err.Error())
		}
	}
	body := triggerBody{t.Parameters, t.Annotations}
	if t.Feed != "" {
		body.Annotations = body.Annotations.With(whisk.AnnotationFeed, document.Quote(s.full(t.Feed)))
	}
	if err := s.put(ctx, "triggers", t.Name, body); err != nil || t.Feed == "" {
		return err
	}
	err = s.tellFeed(ctx, s.full(t.Feed), t.Name, "CREATE", t.FeedParameters)
	if err != nil && isNew {
		_ = s.client.Do(ctx, http.MethodDelete, s.entity("triggers", t.Name), nil, nil, nil) // the feed's failure is what matters
	}
	return err
}

// tellFeed calls a feed action with an event of a trigger's life.
func (s *session) tellFeed(ctx context.Context, feed, trigger, event string, parameters whisk.KeyValues) error {
	return s.askFeed(ctx, feed, trigger, event, parameters, nil)
}

// askFeed is tellFeed with the feed's answer.
func (s *session) askFeed(ctx context.Context, feed, trigger, event string, parameters whisk.KeyValues, out any) error {
	n, err := whisk.ParseFullName(feed, s.namespace)
	if err != nil {
		return err
	}
	body := map[string]json.RawMessage{}
	for _, kv := range parameters {
		body[kv.Key] = kv.Value
	}
	body["authKey"] = document.Quote(s.client.Key())
	body["lifecycleEvent"] = document.Quote(event)
	body["triggerName"] = document.Quote("/" + s.namespace + "/" + trigger)
	name := strings.TrimPrefix(n.Path(), n.Namespace+"/")
	return s.client.Do(ctx, http.MethodPost, s.path(n.Namespace, "actions", name), url.Values{"blocking": {"true"}, "result": {"true"}}, body, out)
}

func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}
