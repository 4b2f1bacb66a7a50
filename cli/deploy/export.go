package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"millrace/cli/deploy/manifest"
	"millrace/cli/deploy/plan"
	"millrace/cli/remote"
	"millrace/whisk"
)

// Export writes the manifest of the project named, or of all that the namespace
// holds, with the code of its actions in files beside it. What a manifest cannot
// say is told as a warning. Existing files are left alone: the export fails.
func Export(ctx context.Context, o Options) error {
	file := o.File
	if file == "" {
		file = filepath.Join(o.Folder, "manifest.yaml")
	}
	s := &session{Options: o, plan: &plan.Plan{Project: o.Project}, report: newReport(o.Out, o.Verbose)}
	if err := s.connect(ctx, plan.Target{}); err != nil {
		return err
	}
	defer s.client.Close()
	x := &exporting{session: s, export: manifest.NewExport(o.Project), parameters: map[string]whisk.KeyValues{}, mine: map[string]bool{}}
	for _, step := range []func(context.Context) error{x.packages, x.actions, x.triggers, x.rules, x.apis} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	switch {
	case x.count == 0 && o.Project != "":
		return fmt.Errorf("nothing of the namespace is marked to belong to the project %s", o.Project)
	case x.count == 0:
		return errors.New("the namespace is empty")
	}
	return x.write(file)
}

// exporting gathers what is written in the end, so that a failure leaves nothing.
type exporting struct {
	*session
	export     *manifest.Export
	parameters map[string]whisk.KeyValues // of packages, by name
	mine       map[string]bool            // actions that are exported
	count      int
}

// read reads a document of the namespace.
func (x *exporting) read(ctx context.Context, collection, name string, out any) error {
	x.count++
	if err := x.client.Do(ctx, http.MethodGet, x.entity(collection, name), nil, nil, out); err != nil {
		return fmt.Errorf("reading %s of %s: %w", name, collection, err)
	}
	return nil
}

// clean takes out the annotations that the platform or a deployment sets.
func clean(list whisk.KeyValues, more ...string) whisk.KeyValues {
	return list.Without(append(more, annotationManaged, whisk.AnnotationExec))
}

func (x *exporting) warnOf(kind, name string, list whisk.KeyValues) {
	for _, kv := range list {
		if kv.Encryption != "" {
			x.report.warn(fmt.Sprintf("the parameter %s of the %s %s is encrypted: give it its value again", kv.Key, kind, name))
		}
		if kv.Init {
			x.report.warn(fmt.Sprintf("the parameter %s of the %s %s is one of its initialisation, which a manifest cannot say", kv.Key, kind, name))
		}
	}
}

func (x *exporting) packages(ctx context.Context) error {
	all, err := x.list(ctx, "packages", x.Project)
	for i := 0; i < len(all) && err == nil; i++ {
		err = x.pkg(ctx, all[i].Name)
	}
	return err
}

func (x *exporting) pkg(ctx context.Context, name string) error {
	var d packageBody
	if err := x.read(ctx, "packages", name, &d); err != nil {
		return err
	}
	x.warnOf("package", name, d.Parameters)
	head := plan.Head{Name: name, Parameters: d.Parameters, Annotations: clean(d.Annotations, whisk.AnnotationBinding)}
	if d.Binding == nil || d.Binding.Name == "" {
		x.parameters[name] = d.Parameters
		return x.export.Package(plan.Package{Head: head, Public: d.Publish})
	}
	if d.Binding.Namespace == x.namespace {
		d.Binding.Namespace = "_"
	}
	head.Parameters = own(d.Parameters, x.ofPackage(ctx, d.Binding.Namespace, d.Binding.Name))
	return x.export.Binding(plan.Package{Head: head, Binding: d.Binding})
}

// ofPackage are the parameters that what is in a package shows as its own.
func (x *exporting) ofPackage(ctx context.Context, namespace, name string) whisk.KeyValues {
	if known, ok := x.parameters[name]; ok && namespace == "_" {
		return known
	}
	var d packageBody
	_ = x.client.Do(ctx, http.MethodGet, x.path(namespace, "packages", name), nil, nil, &d) // one that cannot be read has none
	if namespace == "_" {
		x.parameters[name] = d.Parameters
	}
	return d.Parameters
}

// own are the parameters that are not inherited as they are.
func own(all, inherited whisk.KeyValues) whisk.KeyValues {
	var out whisk.KeyValues
	for _, kv := range all {
		if given := inherited.Find(kv.Key); given == nil || string(given) != string(kv.Value) {
			out = append(out, kv)
		}
	}
	return out
}

func (x *exporting) actions(ctx context.Context) error {
	all, err := x.list(ctx, "actions", x.Project)
	for i := 0; i < len(all) && err == nil; i++ {
		err = x.action(ctx, &all[i])
	}
	return err
}

func (x *exporting) action(ctx context.Context, l *listed) error {
	var d actionBody
	if err := x.read(ctx, "actions", l.path(), &d); err != nil {
		return err
	}
	x.mine[l.path()] = true
	a := plan.Action{Exec: d.Exec, Head: plan.Head{Name: l.Name, Parameters: d.Parameters}}
	if d.Limits != nil {
		a.Limits = *d.Limits
	}
	if pkg, _, packaged := strings.Cut(l.path(), "/"); packaged {
		a.Package = pkg
		a.Parameters = own(d.Parameters, x.ofPackage(ctx, "_", pkg))
	}
	x.warnOf("action", a.Path(), a.Parameters)
	a.Annotations = clean(d.Annotations)
	// Without the annotation an action is given the key; a new one would not be.
	switch given := a.Annotations.Find(whisk.AnnotationProvideAPIKey); {
	case given == nil:
		a.Annotations = a.Annotations.With(whisk.AnnotationProvideAPIKey, json.RawMessage("true"))
	case string(given) == "false":
		a.Annotations = a.Annotations.Without([]string{whisk.AnnotationProvideAPIKey})
	}
	for i, name := range a.Exec.Components {
		a.Exec.Components[i] = x.here(name)
	}
	return x.export.Action(a)
}

// here is a full name with _ in place of the namespace.
func (x *exporting) here(name string) string {
	if after, ok := strings.CutPrefix(name, "/"+x.namespace+"/"); ok {
		return "/_/" + after
	}
	return name
}

func (x *exporting) triggers(ctx context.Context) error {
	all, err := x.list(ctx, "triggers", x.Project)
	for i := 0; i < len(all) && err == nil; i++ {
		err = x.trigger(ctx, all[i].Name)
	}
	return err
}

func (x *exporting) trigger(ctx context.Context, name string) error {
	var d triggerBody
	if err := x.read(ctx, "triggers", name, &d); err != nil {
		return err
	}
	x.warnOf("trigger", name, d.Parameters)
	t := plan.Trigger{Head: plan.Head{Name: name, Parameters: d.Parameters, Annotations: clean(d.Annotations, whisk.AnnotationFeed)}}
	if feed := textOf(d.Annotations.Find(whisk.AnnotationFeed)); feed != "" {
		t.Feed = x.here(feed)
		parameters, err := x.feedParameters(ctx, feed, name)
		if err != nil {
			x.report.warn(fmt.Sprintf("the feed %s of the trigger %s does not tell its parameters (%s): give them", feed, name, err))
		}
		t.FeedParameters = parameters
		if len(t.Parameters) > 0 {
			x.report.warn(fmt.Sprintf("the trigger %s has a feed and parameters of its own, which a manifest cannot say", name))
		}
	}
	return x.export.Trigger(t)
}

// feedParameters asks a feed what a trigger was set up with.
func (x *exporting) feedParameters(ctx context.Context, feed, trigger string) (whisk.KeyValues, error) {
	var read struct {
		Config json.RawMessage `json:"config"`
	}
	if err := x.askFeed(ctx, feed, trigger, "READ", nil, &read); err != nil {
		return nil, err
	}
	var out whisk.KeyValues
	var config map[string]json.RawMessage
	if err := json.Unmarshal(read.Config, &config); err != nil {
		return nil, err
	}
	for _, key := range sortedKeys(config) {
		value := config[key]
		switch {
		case key == "name" || key == "namespace" || string(value) == "null":
		case key == "payload":
			out = append(out, whisk.KeyValue{Key: "trigger_payload", Value: value})
		default:
			out = append(out, whisk.KeyValue{Key: key, Value: value})
		}
	}
	return out, nil
}

func (x *exporting) rules(ctx context.Context) error {
	all, err := x.list(ctx, "rules", x.Project)
	for i := 0; i < len(all) && err == nil; i++ {
		err = x.rule(ctx, all[i].Name)
	}
	return err
}

func (x *exporting) rule(ctx context.Context, name string) error {
	type place struct{ Path, Name string }
	var d struct {
		Annotations     whisk.KeyValues
		Trigger, Action place
		Status          string
	}
	if err := x.read(ctx, "rules", name, &d); err != nil {
		return err
	}
	if d.Status == "inactive" {
		err := x.client.Do(ctx, http.MethodGet, x.entity("triggers", d.Trigger.Name), nil, nil, nil)
		if remote.IsStatus(err, http.StatusNotFound) {
			x.report.warn(fmt.Sprintf("the rule %s is left out, since its trigger %s is gone", name, d.Trigger.Name))
			return nil
		}
		x.report.warn(fmt.Sprintf("the rule %s is inactive, which a manifest cannot say: it becomes active", name))
	}
	return x.export.Rule(plan.Rule{
		Head:    plan.Head{Name: name, Annotations: clean(d.Annotations)},
		Trigger: x.here("/" + d.Trigger.Path + "/" + d.Trigger.Name), Action: x.here("/" + d.Action.Path + "/" + d.Action.Name),
	})
}

// apis exports the operations that lead to exported actions.
func (x *exporting) apis(ctx context.Context) error {
	all, err := x.session.apis(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		api := plan.API{Name: a.Info.Title, BasePath: a.BasePath}
		for _, p := range sortedKeys(a.Paths) {
			for _, verb := range sortedKeys(a.Paths[p]) {
				o := a.Paths[p][verb]
				if !x.mine[o.action()] {
					continue
				}
				api.Operations = append(api.Operations, plan.Operation{
					Path: p, Verb: strings.ToUpper(verb), Action: "/_/" + o.action(), Response: strings.TrimPrefix(filepath.Ext(o.Whisk.URL), "."),
				})
			}
		}
		if a.guarded() {
			x.report.warn(fmt.Sprintf("the API %s asks for keys or limits rates, which a manifest cannot say", a.BasePath))
		}
		if len(api.Operations) > 0 {
			x.count++
			if err := x.export.API(api); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes all files, none of which may exist.
func (x *exporting) write(file string) error {
	text, err := x.export.Text()
	if err != nil {
		return err
	}
	folder := filepath.Dir(file)
	files := map[string][]byte{file: text}
	for name, content := range x.export.Files {
		files[filepath.Join(folder, filepath.FromSlash(name))] = content
	}
	for name := range files {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s exists: say with --manifest where the export is to be written", name)
		}
	}
	for _, name := range sortedKeys(files) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, files[name], 0o600); err != nil {
			return err
		}
		x.report.info("%s has been written.", name)
	}
	x.report.success(msgExported)
	return nil
}
