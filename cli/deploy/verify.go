package deploy

import (
	"context"
	"net/http"
	"strings"

	"millrace/cli/deploy/plan"
	"millrace/cli/remote"
	"millrace/whisk"
)

// verify asks the platform for what the plan needs and does not hold, before
// anything is written. The error is one of asking.
func (s *session) verify(ctx context.Context) error {
	for _, ref := range s.plan.References() {
		if err := s.reference(ctx, ref); err != nil {
			return err
		}
	}
	for i := range s.plan.Packages {
		if err := s.sameSort(ctx, &s.plan.Packages[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) reference(ctx context.Context, ref plan.Reference) error {
	n := ref.Name.In(s.namespace)
	var got annotated
	name := strings.TrimPrefix(n.Path(), n.Namespace+"/")
	err := s.client.Do(ctx, http.MethodGet, s.path(n.Namespace, ref.Collection, name), withoutCode, nil, &got)
	what := strings.TrimSuffix(ref.Collection, "s")
	switch {
	case remote.IsStatus(err, http.StatusNotFound) || remote.IsStatus(err, http.StatusForbidden):
		s.problems.Add(ref.Pos, "the %s names the %s %s, which neither the project nor the platform has", ref.By, what, n)
	case remote.IsStatus(err, http.StatusConflict):
		s.problems.Add(ref.Pos, "the %s names %s, which is no %s", ref.By, n, what)
	case err != nil:
		return err
	case ref.Web && !whisk.Truthy(got.Annotations.Find(plan.AnnotationWebExport)):
		s.problems.Add(ref.Pos, "the %s names the action %s, which is no web action", ref.By, n)
	}
	return nil
}

// sameSort refuses to make a package of a binding, and the opposite: the platform
// does neither.
func (s *session) sameSort(ctx context.Context, p *plan.Package) error {
	var old struct {
		Binding whisk.PackageName `json:"binding"`
	}
	err := s.client.Do(ctx, http.MethodGet, s.entity("packages", p.Name), nil, nil, &old)
	isBinding := old.Binding.Name != ""
	switch {
	case remote.IsStatus(err, http.StatusConflict):
		s.problems.Add(p.Pos, "the name of the package %s is taken on the platform by another entity", p.Name)
	case err != nil && !remote.IsStatus(err, http.StatusNotFound) && !remote.IsStatus(err, http.StatusForbidden):
		return err
	case err == nil && isBinding && p.Binding == nil:
		s.problems.Add(p.Pos, "%s is a binding on the platform, and a package here: delete it there first", p.Name)
	case err == nil && !isBinding && p.Binding != nil:
		s.problems.Add(p.Pos, "%s is a package on the platform, and a binding here: delete it there first", p.Name)
	}
	return nil
}
