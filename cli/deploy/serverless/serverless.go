// Package serverless reads the project files of the Serverless framework, as its
// plugin for OpenWhisk understands them: serverless.yml with functions, their
// events, and resources.
package serverless

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"millrace/cli/deploy/artifact"
	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
	"millrace/whisk"
)

// Options say what to read and how.
type Options struct {
	// File is the path of the project file, Folder bounds what may be read.
	File, Folder string
	// Lookup answers a variable of the environment.
	Lookup func(name string) (string, bool)
	// Choices are what ${opt:…} can name.
	Choices map[string]string
}

// Project is a file whose variables are replaced.
type Project struct {
	o        Options
	reader   *document.Reader
	root     document.Value
	provider document.Value
	service  string
	hash     string
}

var (
	rootKeys = []string{
		"service", "provider", "functions", "resources", "package", "custom", "plugins", "frameworkVersion", "configValidationMode", "useDotenv",
		"variablesResolutionMode", "disabledDeprecations", "deprecationNotificationMode", "unresolvedVariablesNotificationMode", "app", "org",
		"projectDir", "console",
	}
	providerKeys = []string{
		"name", "runtime", "memory", "timeout", "concurrency", "namespace", "parameters", "annotations", "ignore_certs", "overwrite", "stage",
		"region",
	}
)

// Open reads the file. The error is one of plan.Problems if its syntax is wrong.
func Open(o Options) (*Project, error) {
	content, err := document.Read(o.File)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	p := &Project{o: o, reader: document.NewReader(o.File)}
	if p.reader.Parse(content); len(p.reader.Problems) > 0 {
		return nil, p.reader.Problems.Err()
	}
	if err := yaml.Unmarshal(content, &doc); err != nil || len(doc.Content) == 0 {
		return nil, errors.Join(err, errors.New(o.File+" is empty"))
	}
	folder, err := artifact.Open(o.Folder, filepath.Dir(o.File))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	r := &resolver{reader: p.reader, root: doc.Content[0], folder: folder, lookup: o.Lookup, choices: o.Choices, files: map[string]*yaml.Node{}}
	p.root = p.reader.Of(r.node(r.root, 0, 0))
	p.root.Known(rootKeys...)
	if p.provider = p.root.Get("provider"); p.provider.IsScalar() {
		p.provider = document.Value{} // provider: openwhisk
	} else {
		p.provider.Known(providerKeys...)
	}
	name := p.root.Get("service")
	if name.IsMap() {
		name = name.Get("name")
	}
	if p.service = name.Text(); p.service == "" {
		p.root.Fail("the file has no service: the name of the project")
	}
	digest := sha1.Sum(content)
	p.hash = hex.EncodeToString(digest[:])
	return p, p.reader.Problems.Err()
}

// Target is where the file or the plugin's variables of the environment say that
// the project belongs.
func (p *Project) Target() plan.Target {
	env := func(name string) string {
		v, _ := p.o.Lookup(name)
		return v
	}
	t := plan.Target{
		APIHost: env("OW_APIHOST"), Key: env("OW_AUTH"), Namespace: env("OW_NAMESPACE"), Token: env("OW_APIGW_ACCESS_TOKEN"),
		Insecure: p.provider.Get("ignore_certs").Bool(), Own: true,
	}
	if n := p.provider.Get("namespace"); !n.Missing() {
		t.Namespace = n.Text()
	}
	return t
}

// Plan makes the plan for a platform. The error is one of plan.Problems if anything
// in the file is wrong; the plan then holds what could be read.
func (p *Project) Plan(on *platform.Info) (*plan.Plan, error) {
	folder, err := artifact.Open(p.o.Folder, filepath.Dir(p.o.File))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	c := &compiler{Project: p, platform: on, folder: folder, plan: &plan.Plan{Project: p.service, Hash: p.hash, File: p.o.File}}
	c.compile()
	c.plan.Warnings = append(c.plan.Warnings, p.reader.Warnings...)
	return c.plan, p.reader.Problems.Err()
}

// compiler is one making of a plan.
type compiler struct {
	*Project
	platform *platform.Info
	folder   *artifact.Folder
	plan     *plan.Plan
	api      plan.API
}

func (c *compiler) compile() {
	if name := c.provider.Get("name"); !name.Missing() && name.Text() != "openwhisk" {
		name.Fail("the provider is %s: only openwhisk is deployed to here", name.Text())
	}
	c.overwrite(c.provider)
	resources := c.root.Get("resources")
	resources.Known("packages", "triggers", "rules", "apigw")
	c.packages(resources.Get("packages"))
	for _, m := range resources.Get("triggers").Members() {
		c.trigger(m)
	}
	for _, m := range resources.Get("rules").Members() {
		c.rule(m)
	}
	c.apigw(resources.Get("apigw"))
	for _, m := range c.root.Get("functions").Members() {
		c.function(m.Key, m.Value)
	}
	if len(c.api.Operations) > 0 {
		c.plan.APIs = append(c.plan.APIs, c.api)
	}
}

// overwrite refuses what a deployment that can be repeated does not do.
func (c *compiler) overwrite(v document.Value) {
	if at := v.Get("overwrite"); !at.Missing() && !at.Bool() {
		at.Fail("overwrite: false is not supported: what exists is replaced")
	}
}

// ownNamespace makes sure that an entity goes where the project goes.
func (c *compiler) ownNamespace(v document.Value) {
	at := v.Get("namespace")
	if at.Missing() || at.Text() == "_" || at.Text() == c.Target().Namespace {
		return
	}
	at.Fail("a project is deployed to one namespace: give it as provider: namespace")
}

func (c *compiler) packages(v document.Value) {
	for _, m := range v.Members() {
		m.Value.Known("name", "parameters", "annotations", "shared", "binding", "namespace", "overwrite")
		c.overwrite(m.Value)
		c.ownNamespace(m.Value)
		name := m.Key
		if at := m.Value.Get("name"); !at.Missing() {
			name = at.Text()
		}
		p := plan.Package{Head: plan.Head{
			Pos: m.Value.Pos(), Name: name, Parameters: m.Value.Get("parameters").KeyValues(), Annotations: m.Value.Get("annotations").KeyValues(),
		}}
		if at := m.Value.Get("shared"); !at.Missing() {
			shared := at.Bool()
			p.Public = &shared
		}
		if at := m.Value.Get("binding"); !at.Missing() {
			namespace, bound, ok := strings.Cut(strings.TrimPrefix(at.Text(), "/"), "/")
			if !ok || namespace == "" || bound == "" || strings.Contains(bound, "/") || at.Text()[0] != '/' {
				at.Fail("%q is no package to bind: it has the form /namespace/package", at.Text())
				continue
			}
			p.Binding = &whisk.PackageName{Namespace: namespace, Name: bound}
		}
		c.plan.Packages = append(c.plan.Packages, p)
	}
}

// needPackage adds a package that a function's name mentions and resources do not.
func (c *compiler) needPackage(name string, at plan.Pos) {
	for i := range c.plan.Packages {
		if c.plan.Packages[i].Name == name {
			return
		}
	}
	c.plan.Packages = append(c.plan.Packages, plan.Package{Head: plan.Head{Pos: at, Name: name}})
}

// Find answers the project file of a folder, or "" if it has none.
func Find(folder string) string {
	for _, name := range []string{"serverless.yml", "serverless.yaml", "serverless.json"} {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// Is tells whether a file's content is that of a Serverless project.
func Is(content []byte) bool {
	var doc struct {
		Service  yaml.Node `yaml:"service"`
		Provider yaml.Node `yaml:"provider"`
	}
	return yaml.Unmarshal(content, &doc) == nil && doc.Service.Kind != 0 && doc.Provider.Kind != 0
}
