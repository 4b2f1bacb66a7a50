// Package plan is what a project file comes to: the entities to write, each with
// the place in the file that asks for it. Readers of the kinds of project files
// make plans, and the deployment carries them out; neither knows the other.
//
// A plan speaks of the own namespace as _.
package plan

import (
	"encoding/json"
	"strings"

	"millrace/whisk"
)

// Plan is a whole project.
type Plan struct {
	// Project is the name that marks what belongs to it; empty if it has none.
	Project string
	// Hash is a digest of the files that the plan was made from.
	Hash string
	// File is the main one of them, as the user knows it.
	File string

	Packages []Package
	Actions  []Action
	Triggers []Trigger
	Rules    []Rule
	APIs     []API

	// Warnings do not keep a plan from being carried out.
	Warnings Problems
}

// Target is where a project file says that it belongs. Empty members are left to
// the user's settings.
type Target struct {
	APIHost, Key, Namespace string
	// Token is what the API gateway of a hosted platform asks for.
	Token    string
	Insecure bool
	// Own: the host is named by the user's environment, not by a file.
	Own bool
	// Pos is where the host is named, if it is.
	Pos Pos
}

// Head is what all entities have.
type Head struct {
	Pos
	Name        string
	Parameters  whisk.KeyValues
	Annotations whisk.KeyValues
}

// Package is a package, or with Binding one that shows another.
type Package struct {
	Head
	Version string
	// Public is nil where the file does not say.
	Public  *bool
	Binding *whisk.PackageName
}

// Action is one with code, or a sequence. Package is empty for the default one.
type Action struct {
	Head
	Package string
	Version string
	Exec    Exec
	Limits  Limits
	// Secured: callers have to know a secret that only the API in front of the
	// action does. It is made when the action is written.
	Secured bool
}

// Path is name or pkg/name.
func (a *Action) Path() string {
	if a.Package == "" {
		return a.Name
	}
	return a.Package + "/" + a.Name
}

// IsSequence tells whether the action is made of others.
func (a *Action) IsSequence() bool { return a.Exec.Kind == whisk.KindSequence }

// Exec is what an action runs. Code is nil where there is none; code that is no
// text is base64.
type Exec struct {
	Kind       string   `json:"kind"`
	Code       *string  `json:"code,omitempty"`
	Main       string   `json:"main,omitempty"`
	Image      string   `json:"image,omitempty"`
	Components []string `json:"components,omitempty"` // /ns/[pkg/]name
}

// Limits are those that a file gives; nil is the platform's default. Timeout is in
// ms, Memory and Logs in MB.
type Limits struct {
	Timeout     *int `json:"timeout,omitempty"`
	Memory      *int `json:"memory,omitempty"`
	Logs        *int `json:"logs,omitempty"`
	Concurrency *int `json:"concurrency,omitempty"`
}

// Trigger is a trigger; with a Feed, that action is told of it.
type Trigger struct {
	Head
	Feed           string // /ns/[pkg/]name, or empty
	FeedParameters whisk.KeyValues
}

// Rule links a trigger to an action, both as /ns/[pkg/]name.
type Rule struct {
	Head
	Trigger, Action string
}

// API is a base path at the API gateway: operations, or a Swagger document as it is.
type API struct {
	Pos
	Name, BasePath string
	Operations     []Operation
	// Whole: nothing else is to be left at the base path.
	Whole bool
	// Extra are further members of the API's Swagger document; only a Whole API
	// has any.
	Extra map[string]json.RawMessage
	// NoCORS leaves preflight requests to the actions.
	NoCORS bool
	// Swagger is the document itself, in JSON.
	Swagger string
}

// Operation is a verb of a path and the web action behind it.
type Operation struct {
	Pos
	Path, Verb string
	Action     string // /ns/[pkg/]name
	// Response is the extension of the action's URL: json, http, html, text, svg.
	Response string
}

// Own makes every name that a file gives with the own namespace one with _.
func (p *Plan) Own(namespace string) {
	own := func(name *string) {
		if after, ok := strings.CutPrefix(*name, "/"+namespace+"/"); ok {
			*name = "/_/" + after
		}
	}
	for i := range p.Packages {
		if b := p.Packages[i].Binding; b != nil && b.Namespace == namespace {
			b.Namespace = "_"
		}
	}
	for i := range p.Actions {
		for j := range p.Actions[i].Exec.Components {
			own(&p.Actions[i].Exec.Components[j])
		}
	}
	for i := range p.Triggers {
		own(&p.Triggers[i].Feed)
	}
	for i := range p.Rules {
		own(&p.Rules[i].Trigger)
		own(&p.Rules[i].Action)
	}
	for i := range p.APIs {
		for j := range p.APIs[i].Operations {
			own(&p.APIs[i].Operations[j].Action)
		}
	}
}

// Names are the plan's entities as collection/path, such as actions/pkg/name; of
// APIs "apis/BASE PATH VERB", and "apis/BASE" for one that is whole.
func (p *Plan) Names() map[string]bool {
	out := map[string]bool{}
	for i := range p.Packages {
		out["packages/"+p.Packages[i].Name] = true
	}
	for i := range p.Actions {
		out["actions/"+p.Actions[i].Path()] = true
	}
	for i := range p.Triggers {
		out["triggers/"+p.Triggers[i].Name] = true
	}
	for i := range p.Rules {
		out["rules/"+p.Rules[i].Name] = true
	}
	for _, a := range p.APIs {
		if a.Swagger != "" || a.Whole {
			out["apis/"+a.BasePath] = true
		}
		for _, o := range a.Operations {
			out["apis/"+a.BasePath+" "+o.Path+" "+o.Verb] = true
		}
	}
	return out
}
