package whisk

// Kinds that need no runtime of the manifest: a sequence of actions, and an image
// of the user's own.
const (
	KindSequence = "sequence"
	KindBlackbox = "blackbox"
)

// Exec is what an action runs.
type Exec struct {
	// Kind is concrete, such as nodejs:20; or KindSequence or KindBlackbox.
	Kind string `json:"kind"`
	// Digest addresses the code in the blob store (blob.Digest); Size is its
	// length in bytes as the client sent it (base64 text counts as text).
	Digest string `json:"digest,omitempty"`
	Size   int    `json:"size,omitempty"`
	// Binary: the code is the base64 text of a zip, tar.gz, jar or executable.
	Binary bool `json:"binary"`
	// Main is the entry point as given; empty means the runtime's default.
	Main string `json:"main,omitempty"`
	// Image is set for blackbox actions, Components (fully qualified
	// /ns/pkg/name) for sequences.
	Image      string   `json:"image,omitempty"`
	Components []string `json:"components,omitempty"`
}

// Action is an action as stored; what a client sees of it is made by whisk/api.
type Action struct {
	// Namespace is the owner's, Package is empty for the default package.
	Namespace   string    `json:"namespace"`
	Package     string    `json:"package,omitempty"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Publish     bool      `json:"publish"`
	Updated     int64     `json:"updated"` // ms since 1970
	Exec        Exec      `json:"exec"`
	Parameters  KeyValues `json:"parameters"`
	Annotations KeyValues `json:"annotations"`
	Limits      Limits    `json:"limits"`

	// Revision is the store's ModRevision: another one is another action to the
	// warm instances.
	Revision int64 `json:"-"`
}

// Path is ns/name or ns/pkg/name.
func (a *Action) Path() string {
	if a.Package == "" {
		return a.Namespace + "/" + a.Name
	}
	return a.Namespace + "/" + a.Package + "/" + a.Name
}
