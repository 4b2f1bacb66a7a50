package whisk

// Package is a named folder of actions, which inherit its parameters.
type Package struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Publish     bool      `json:"publish"` // everyone may read it and call its actions
	Updated     int64     `json:"updated"` // ms since 1970
	Parameters  KeyValues `json:"parameters"`
	Annotations KeyValues `json:"annotations"`
	// Binding names the package whose actions this one shows under its own name,
	// with its own parameters; nil for a package that holds actions itself.
	Binding *PackageName `json:"binding,omitempty"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}

// PackageName is where a package is.
type PackageName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Path is ns/name.
func (n PackageName) Path() string { return n.Namespace + "/" + n.Name }
