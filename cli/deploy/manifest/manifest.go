// Package manifest reads the project files of wskdeploy: a manifest, and beside it
// a deployment file with values for one environment. What they mean follows the
// original; a file that it would misread silently is refused instead.
package manifest

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"millrace/cli/deploy/artifact"
	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
	"millrace/whisk"
)

// Options say what to read and how.
type Options struct {
	// Manifest and Deployment are paths; Deployment may be empty.
	Manifest, Deployment string
	// Folder bounds what may be read: the project's folder.
	Folder string
	// Project is a name in place of the one in the files.
	Project string
	// Lookup answers a variable of the environment.
	Lookup func(name string) (string, bool)
	// Parameters are values given on the command line: they replace inputs of
	// packages and of the project, and can be named as variables.
	Parameters whisk.KeyValues
	// Strict takes runtimes as they are named, without falling back to others.
	Strict bool
}

// Project is a manifest that has been read but not yet understood.
type Project struct {
	o          Options
	reader     *document.Reader
	root       document.Value // of the manifest
	project    document.Value // its key project, if it has one
	deployment *overlay
	name       string
	vars       document.Variables // all but those of packages
	hash       string
}

var projectKeys = []string{
	"name", "namespace", "credential", "apiHost", "apigwAccessToken", "apigwTenantId", "version", "license", "description",
	"packages", "package", "inputs", "parameters", "config",
}

// Open reads the files. The error is one of plan.Problems if their syntax is wrong.
func Open(o Options) (*Project, error) {
	text, err := document.Read(o.Manifest)
	if err != nil {
		return nil, err
	}
	p := &Project{o: o, reader: document.NewReader(o.Manifest), vars: environment(o.Parameters, o.Lookup)}
	p.root = p.reader.Parse(text).With(p.vars)
	if err := p.reader.Problems.Err(); err != nil {
		return nil, err
	}
	p.root.Known("project", "application", "packages", "package")
	p.project = p.root.Get("project")
	if old := p.root.Get("application"); !old.Missing() {
		old.Warn("the key application is deprecated: call it project")
		if p.project.Missing() {
			p.project = old
		}
	}
	p.project.Known(projectKeys...)
	digest := sha1.New()
	digest.Write(text)
	if o.Deployment != "" {
		if text, err = document.Read(o.Deployment); err != nil {
			return nil, err
		}
		digest.Write(text)
		if p.deployment, err = openOverlay(o.Deployment, text, p.vars); err != nil {
			return nil, err
		}
	}
	p.hash = hex.EncodeToString(digest.Sum(nil))
	p.findName()
	return p, p.reader.Problems.Err()
}

// findName settles what the project is called.
func (p *Project) findName() {
	p.name = p.o.Project
	if p.name == "" {
		p.name = p.project.Get("name").Text()
	}
	if p.deployment == nil || p.o.Project != "" {
		return
	}
	other := p.deployment.project.Get("name")
	switch {
	case other.Missing():
	case p.name == "":
		p.name = other.Text()
	case other.Text() != p.name:
		p.deployment.reader.Problems.Add(other.Pos(), "the project is called %q here and %q in the manifest", other.Text(), p.name)
	}
}

// environment looks first among the values of the command line.
func environment(given whisk.KeyValues, lookup func(string) (string, bool)) document.Variables {
	return func(name string) (json.RawMessage, bool) {
		if v := given.Find(name); v != nil {
			return v, true
		}
		if v, ok := lookup(name); ok {
			return document.Quote(v), true
		}
		return nil, false
	}
}

// layered looks in first, then in next.
func layered(first whisk.KeyValues, next document.Variables) document.Variables {
	return func(name string) (json.RawMessage, bool) {
		if v := first.Find(name); v != nil {
			return v, true
		}
		return next(name)
	}
}

// Target is where the files say that the project belongs: the deployment file
// before the manifest.
func (p *Project) Target() plan.Target {
	var t plan.Target
	places := []document.Value{p.project}
	if p.deployment != nil {
		places = []document.Value{p.deployment.project, p.project}
	}
	for _, place := range places {
		if host := place.Get("apiHost"); t.APIHost == "" && !host.Missing() {
			t.APIHost, t.Pos = host.Text(), host.Pos()
		}
		fill(&t.Key, place.Get("credential"))
		fill(&t.Namespace, place.Get("namespace"))
		fill(&t.Token, place.Get("apigwAccessToken"))
	}
	return t
}

func fill(to *string, from document.Value) {
	if *to == "" {
		*to = from.Text()
	}
}

// Plan makes the plan for a platform. The error is one of plan.Problems if anything
// in the files is wrong; the plan then holds what could be read.
func (p *Project) Plan(on *platform.Info) (*plan.Plan, error) {
	folder, err := artifact.Open(p.o.Folder, filepath.Dir(p.o.Manifest))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	c := &compiler{Project: p, platform: on, folder: folder, plan: &plan.Plan{Project: p.name, Hash: p.hash, File: p.o.Manifest}}
	c.compile()
	problems := append(plan.Problems{}, p.reader.Problems...)
	c.plan.Warnings = append(c.plan.Warnings, p.reader.Warnings...)
	if p.deployment != nil {
		p.deployment.unused()
		problems = append(problems, p.deployment.reader.Problems...)
		c.plan.Warnings = append(c.plan.Warnings, p.deployment.reader.Warnings...)
	}
	return c.plan, problems.Err()
}

// compiler is one making of a plan.
type compiler struct {
	*Project
	platform *platform.Info
	folder   *artifact.Folder
	plan     *plan.Plan
}

func (c *compiler) compile() {
	inputs := c.projectInputs()
	vars := layered(inputs, c.vars)
	for _, m := range c.packages(vars) {
		c.compilePackage(m.Key, m.Value, vars)
	}
	c.swagger()
}

// projectInputs are values that all packages can name as variables.
func (c *compiler) projectInputs() whisk.KeyValues {
	var out whisk.KeyValues
	for _, key := range []string{"inputs", "parameters"} {
		out = out.Merge(c.inputs(c.project.Get(key), c.deployment.of("inputs"), c.o.Parameters))
	}
	return out
}

// packages are those of all the places that may hold them.
func (c *compiler) packages(vars document.Variables) []document.Member {
	var out []document.Member
	for _, place := range []document.Value{c.root, c.project} {
		out = append(out, place.Get("packages").With(vars).Members()...)
		single := place.Get("package").With(vars)
		if single.Missing() {
			continue
		}
		single.Warn("the key package is deprecated: put its content below packages, by its name")
		if name := single.Get("name"); name.IsScalar() {
			out = append(out, document.Member{Key: name.Text(), Value: single})
			continue
		}
		out = append(out, single.Members()...)
	}
	if len(out) == 0 && c.project.Get("config").Missing() {
		c.root.Fail("the manifest has no packages")
	}
	return out
}

// swagger takes over the API that the project's configuration describes.
func (c *compiler) swagger() {
	config := c.project.Get("config")
	if config.Missing() {
		return
	}
	name := config.Text()
	text, err := c.folder.Read(name)
	if err != nil {
		config.Fail("%s", err)
		return
	}
	r := document.NewReader(name)
	doc := r.Parse(text)
	for _, key := range []string{"swagger", "basePath", "info", "paths"} {
		if doc.Get(key).Missing() {
			config.Fail("%s is no Swagger document: it lacks %s", name, key)
		}
	}
	c.reader.Problems = append(c.reader.Problems, r.Problems...)
	c.plan.APIs = append(c.plan.APIs, plan.API{
		Pos: config.Pos(), Name: doc.Get("info").Get("title").Text(), BasePath: doc.Get("basePath").Text(), Swagger: string(doc.JSON()),
	})
}

// Find answers the manifest of a folder, or "" if it has none.
func Find(folder string) string { return first(folder, "manifest.yaml", "manifest.yml") }

// FindDeployment answers the deployment file of a folder, or "" if it has none.
func FindDeployment(folder string) string { return first(folder, "deployment.yaml", "deployment.yml") }

func first(folder string, names ...string) string {
	for _, name := range names {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// isDefault tells whether a package stands for none.
func isDefault(pkg string) bool { return strings.EqualFold(pkg, "default") }
