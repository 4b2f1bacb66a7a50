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

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}
