package whisk

// Package is a named folder of actions, which inherit its parameters.
type Package struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Publish     bool      `json:"publish"` // see Public
	Updated     int64     `json:"updated"` // ms since 1970
	Parameters  KeyValues `json:"parameters"`
	Annotations KeyValues `json:"annotations"`
	// Binding names the package whose actions this one shows under its own name,
	// with its own parameters; nil for a package that holds actions itself.
	Binding *PackageName `json:"binding,omitempty"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}

// Public tells whether others than the owner may use it. A binding never is: who
// may use what it leads to is for that package to say.
func (p *Package) Public() bool { return p.Publish && p.Binding == nil }

// PackageName is where a package is.
type PackageName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (n PackageName) in(namespace string) *PackageName {
	if n.Namespace == "_" {
		n.Namespace = namespace
	}
	return &n
}

// json is n as an annotation shows it.
func (n PackageName) json() []byte {
	b := AppendString([]byte(`{"namespace":`), n.Namespace)
	b = AppendString(append(b, `,"name":`...), n.Name)
	return append(b, '}')
}

// Path is ns/name.
func (n PackageName) Path() string { return n.Namespace + "/" + n.Name }
