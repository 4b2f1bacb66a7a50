// Package deploy brings whole projects to a functions platform and takes them away
// again: those of wskdeploy (manifest.yaml) and of the Serverless framework
// (serverless.yml). A project file becomes a plan, which is checked whole, against
// the platform too, before the first entity is written.
//
// What it writes on a platform may be written again: entities are replaced. What
// belongs to a managed project carries the annotation whisk-managed, by which sync
// finds what the project does not have any more.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/manifest"
	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
	"millrace/cli/deploy/serverless"
	"millrace/cli/remote"
	"millrace/whisk"
)

// Options say what to deploy, to where and how.
type Options struct {
	// Folder is the project's folder; nothing outside of it is read.
	Folder string
	// File is the project file; empty to find one in Folder. Deployment is the one
	// with values for an environment, if it is not the one that is found.
	File, Deployment string
	// Project names the project in place of what its files say.
	Project string
	// Parameters are inputs given on the command line, Choices what ${opt:…} of a
	// serverless.yml can name.
	Parameters whisk.KeyValues
	Choices    map[string]string

	// Strict takes runtimes as they are named; Preview shows what would be done;
	// Managed marks what belongs to the project and removes what it lost; Verbose
	// tells more.
	Strict, Preview, Managed, Verbose bool

	// APIHost and Key are those of flags, which go before what project files say;
	// Settings answers those of the user's settings, which come after.
	APIHost, Key string
	Insecure     bool
	Settings     func() (apihost, key string, err error)
	UserAgent    string

	// Lookup answers a variable of the environment.
	Lookup func(name string) (string, bool)
	Out    io.Writer
}

// project is a project file of any kind.
type project interface {
	Target() plan.Target
	Plan(on *platform.Info) (*plan.Plan, error)
}

// session is one run.
type session struct {
	Options
	client    *remote.Client
	namespace string
	token     string
	info      *platform.Info
	plan      *plan.Plan
	report    *report
	// problems are those of the project's files.
	problems plan.Problems
}

// Deploy carries out a project.
func Deploy(ctx context.Context, o Options) error {
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer s.client.Close()
	if o.Managed {
		if err := s.mark(); err != nil {
			return err
		}
	}
	s.problems = append(s.problems, s.plan.Check(s.info)...)
	if err := s.verify(ctx); err != nil {
		return err
	}
	if err := s.problems.Err(); err != nil {
		return err
	}
	var stale []step
	if o.Managed {
		if stale, err = s.stale(ctx); err != nil {
			return err
		}
	}
	if o.Preview {
		s.preview()
		s.report.removals(stale)
		return nil
	}
	return s.run(ctx, append(s.deployment(), stale...), msgDeployed, msgNotDeployed)
}

// Undeploy takes a project away: what its file has, or, without a file and with a
// project's name, what is marked to belong to it. What is wrong with the file does
// not matter as far as names can be read.
func Undeploy(ctx context.Context, o Options) error {
	if o.File == "" && o.Project != "" && !hasFile(o.Folder) {
		return undeployMarked(ctx, o)
	}
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer s.client.Close()
	for _, p := range s.problems {
		s.report.warn(p.String())
	}
	steps := s.undeployment()
	if o.Preview {
		s.report.removals(steps)
		return nil
	}
	return s.run(ctx, steps, msgUndeployed, msgNotUndeployed)
}

// undeployMarked takes away what carries the project's mark.
func undeployMarked(ctx context.Context, o Options) error {
	s := &session{Options: o, plan: &plan.Plan{Project: o.Project}, report: newReport(o.Out, o.Verbose)}
	if err := s.connect(ctx, plan.Target{}); err != nil {
		return err
	}
	defer s.client.Close()
	steps, err := s.stale(ctx)
	if err != nil {
		return err
	}
	if o.Preview {
		s.report.removals(steps)
		return nil
	}
	if len(steps) == 0 {
		return fmt.Errorf("nothing of the namespace is marked to belong to the project %s", o.Project)
	}
	return s.run(ctx, steps, msgUndeployed, msgNotUndeployed)
}

// start reads the project and makes its plan for the platform it goes to. What is
// wrong with the project is left to be told with what is found later.
func start(ctx context.Context, o Options) (*session, error) {
	p, file, err := open(&o)
	if err != nil {
		return nil, err
	}
	s := &session{Options: o, report: newReport(o.Out, o.Verbose)}
	s.report.verbose("Using [%s] for the project file.", file)
	if err := s.connect(ctx, p.Target()); err != nil {
		return nil, err
	}
	s.plan, err = p.Plan(s.info)
	if err != nil && !errors.As(err, &s.problems) {
		s.client.Close()
		return nil, err
	}
	s.plan.Own(s.namespace)
	for _, w := range s.plan.Warnings {
		s.report.warn(w.String())
	}
	return s, nil
}

func hasFile(folder string) bool { return manifest.Find(folder) != "" || serverless.Find(folder) != "" }

// open finds the project file and tells its kind.
func open(o *Options) (project, string, error) {
	if o.Folder == "" {
		o.Folder = "."
	}
	file, isServerless := o.File, false
	if file == "" {
		theirs, other := manifest.Find(o.Folder), serverless.Find(o.Folder)
		switch {
		case theirs != "" && other != "":
			return nil, "", fmt.Errorf("the folder %s has %s and %s: say with --manifest which one is meant", o.Folder, filepath.Base(theirs), filepath.Base(other))
		case theirs == "" && other == "":
			return nil, "", fmt.Errorf("the folder %s has no manifest.yaml, manifest.yml or serverless.yml: say with --manifest or --project where it is", o.Folder)
		case theirs != "":
			file = theirs
		default:
			file, isServerless = other, true
		}
	} else {
		text, err := document.Read(file)
		if err != nil {
			return nil, "", err
		}
		isServerless = serverless.Is(text)
	}
	if isServerless {
		if o.Managed {
			return nil, "", errors.New("a serverless.yml cannot be managed: only manifests can")
		}
		p, err := serverless.Open(serverless.Options{File: file, Folder: o.Folder, Lookup: o.Lookup, Choices: o.Choices})
		return p, file, err
	}
	deployment := o.Deployment
	if deployment == "" {
		deployment = manifest.FindDeployment(filepath.Dir(file))
	}
	p, err := manifest.Open(manifest.Options{
		Manifest: file, Deployment: deployment, Folder: o.Folder, Project: o.Project, Lookup: o.Lookup, Parameters: o.Parameters, Strict: o.Strict,
	})
	return p, file, err
}
