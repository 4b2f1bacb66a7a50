package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millrace/cli/deploy/plan"
	"millrace/cli/remote"
	"millrace/whisk"
)

// undeployment are the steps that take the plan's entities away, in the opposite
// order of their deployment.
func (s *session) undeployment() []step {
	var steps []step
	for i := range s.plan.APIs {
		a := &s.plan.APIs[i]
		if a.Swagger != "" || a.Whole {
			steps = append(steps, s.removeAPI(a.BasePath, "", ""))
			continue
		}
		for _, o := range a.Operations {
			steps = append(steps, s.removeAPI(a.BasePath, o.Path, o.Verb))
		}
	}
	for i := range s.plan.Rules {
		steps = append(steps, s.remove("rule", "rules", s.plan.Rules[i].Name))
	}
	for i := range s.plan.Triggers {
		steps = append(steps, s.removeTrigger(s.plan.Triggers[i].Name))
	}
	actions, _ := s.plan.Ordered()
	for _, a := range slices.Backward(actions) {
		kind := "action"
		if a.IsSequence() {
			kind = "sequence"
		}
		steps = append(steps, s.remove(kind, "actions", a.Path()))
	}
	for _, bindings := range []bool{true, false} {
		for i := range s.plan.Packages {
			if p := &s.plan.Packages[i]; (p.Binding != nil) == bindings {
				steps = append(steps, s.removePackage(kindOf(p), p.Name))
			}
		}
	}
	return slices.DeleteFunc(steps, func(st step) bool { return st.name == "" || strings.HasSuffix(st.name, "/") })
}

const noteGone = "is not there."

func (s *session) remove(kind, collection, name string) step {
	return step{kind: kind, name: name, removal: true, do: func(ctx context.Context) (string, error) {
		err := s.client.Do(ctx, http.MethodDelete, s.entity(collection, name), nil, nil, nil)
		if remote.IsStatus(err, http.StatusNotFound) {
			return noteGone, nil
		}
		return "", err
	}}
}

// removePackage leaves a package in which others have put something.
func (s *session) removePackage(kind, name string) step {
	st := s.remove(kind, "packages", name)
	remove := st.do
	st.do = func(ctx context.Context) (string, error) {
		note, err := remove(ctx)
		if remote.IsStatus(err, http.StatusConflict) {
			return "is kept: it holds actions that are not the project's.", nil
		}
		return note, err
	}
	return st
}

// removeTrigger tells the feed first.
func (s *session) removeTrigger(name string) step {
	st := s.remove("trigger", "triggers", name)
	remove := st.do
	st.do = func(ctx context.Context) (string, error) {
		var old annotated
		if err := s.client.Do(ctx, http.MethodGet, s.entity("triggers", name), nil, nil, &old); remote.IsStatus(err, http.StatusNotFound) {
			return noteGone, nil
		} else if err != nil {
			return "", err
		}
		if feed := textOf(old.Annotations.Find(whisk.AnnotationFeed)); feed != "" {
			if err := s.tellFeed(ctx, feed, name, "DELETE", nil); err != nil {
				s.report.warn("the feed " + feed + " of trigger " + name + " was not told of its end: " + err.Error())
			}
		}
		return remove(ctx)
	}
	return st
}

func (s *session) removeAPI(base, path, verb string) step {
	query := url.Values{"basepath": {base}, "force": {"true"}}
	name := base
	if path != "" {
		query.Set("relpath", path)
		query.Set("operation", strings.ToLower(verb))
		name = strings.TrimSuffix(base, "/") + path + " " + strings.ToUpper(verb)
	}
	return step{kind: "api", name: name, removal: true, do: func(ctx context.Context) (string, error) {
		err := s.manage(ctx, http.MethodDelete, "deleteApi", query, nil, nil)
		if err != nil && strings.Contains(err.Error(), "does not exist") {
			return noteGone, nil
		}
		return "", err
	}}
}

// annotationManaged marks what belongs to a project.
const annotationManaged = "whisk-managed"

type mark struct {
	Project string `json:"projectName"`
	Hash    string `json:"projectHash"`
	Deps    []mark `json:"projectDeps"`
	File    string `json:"file"`
}

// mark puts the project's mark on all of the plan.
func (s *session) mark() error {
	if s.plan.Project == "" {
		return fmt.Errorf("%s names no project (project: name: …), which a managed deployment needs: give it a name, or --projectname", s.plan.File)
	}
	raw, err := json.Marshal(mark{s.plan.Project, s.plan.Hash, []mark{}, s.plan.File})
	if err != nil {
		return err
	}
	sign := func(h *plan.Head) { h.Annotations = h.Annotations.With(annotationManaged, raw) }
	for i := range s.plan.Packages {
		sign(&s.plan.Packages[i].Head)
	}
	for i := range s.plan.Actions {
		sign(&s.plan.Actions[i].Head)
	}
	for i := range s.plan.Triggers {
		sign(&s.plan.Triggers[i].Head)
	}
	for i := range s.plan.Rules {
		sign(&s.plan.Rules[i].Head)
	}
	return nil
}

// listed is an entity as lists have it.
type listed struct {
	Namespace   string          `json:"namespace"`
	Name        string          `json:"name"`
	Annotations whisk.KeyValues `json:"annotations"`
	Binding     json.RawMessage `json:"binding"`
}

// path is name or pkg/name.
func (l *listed) path() string {
	if _, pkg, ok := strings.Cut(l.Namespace, "/"); ok {
		return pkg + "/" + l.Name
	}
	return l.Name
}

// project is the name in its mark, or "".
func (l *listed) project() string {
	var m mark
	if json.Unmarshal(l.Annotations.Find(annotationManaged), &m) != nil {
		return ""
	}
	return m.Project
}

// list answers the entities of a collection that belong to the project; all if it
// has no name.
func (s *session) list(ctx context.Context, collection, project string) ([]listed, error) {
	docs, err := s.client.List(ctx, remote.Path("namespaces", s.namespace, collection))
	if err != nil {
		return nil, fmt.Errorf("listing the %s of the namespace: %w", collection, err)
	}
	var out []listed
	for _, doc := range docs {
		var l listed
		if err := json.Unmarshal(doc, &l); err != nil {
			return nil, fmt.Errorf("reading the list of %s: %w", collection, err)
		}
		if project == "" || l.project() == project {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b listed) int { return strings.Compare(a.path(), b.path()) })
	return out, nil
}

// stale are the steps that take away what carries the project's mark and is not in
// the plan, and the operations of APIs that lead to an action of the project, past
// or present, and are not in the plan.
func (s *session) stale(ctx context.Context) ([]step, error) {
	var rules, triggers, actions, packages []step
	owned, err := s.owned(ctx)
	if err != nil {
		return nil, err
	}
	has := s.plan.Names()
	for _, e := range owned["rules"] {
		if !has["rules/"+e.path()] {
			rules = append(rules, s.remove("rule", "rules", e.path()))
		}
	}
	for _, e := range owned["triggers"] {
		if !has["triggers/"+e.path()] {
			triggers = append(triggers, s.removeTrigger(e.path()))
		}
	}
	mine := map[string]bool{}
	for _, e := range owned["actions"] {
		mine[e.path()] = true
		if !has["actions/"+e.path()] {
			actions = append(actions, s.remove("action", "actions", e.path()))
		}
	}
	for _, e := range owned["packages"] {
		if !has["packages/"+e.path()] {
			packages = append(packages, s.removePackage("package", e.path()))
		}
	}
	apis, err := s.staleAPIs(ctx, mine, has)
	return slices.Concat(apis, rules, triggers, actions, packages), err
}

// owned are the project's entities by collection.
func (s *session) owned(ctx context.Context) (map[string][]listed, error) {
	out := map[string][]listed{}
	for _, collection := range []string{"packages", "actions", "triggers", "rules"} {
		var err error
		if out[collection], err = s.list(ctx, collection, s.plan.Project); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *session) staleAPIs(ctx context.Context, mine, has map[string]bool) ([]step, error) {
	all, err := s.apis(ctx)
	var steps []step
	for _, a := range all {
		for _, path := range sortedKeys(a.Paths) {
			for _, verb := range sortedKeys(a.Paths[path]) {
				o := a.Paths[path][verb]
				if mine[o.action()] && !has["apis/"+a.BasePath] && !has["apis/"+a.BasePath+" "+path+" "+strings.ToUpper(verb)] {
					steps = append(steps, s.removeAPI(a.BasePath, path, verb))
				}
			}
		}
	}
	return steps, err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
