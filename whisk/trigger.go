package whisk

// Trigger is an event source's end in the platform: firing it calls the actions
// of its rules. Rules refer to it, not the other way round: which rules it has is
// the catalog's to know.
type Trigger struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Publish     bool      `json:"publish"`
	Updated     int64     `json:"updated"` // ms since 1970
	Parameters  KeyValues `json:"parameters"`
	Annotations KeyValues `json:"annotations"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}

// Rule calls an action whenever a trigger of its namespace is fired.
type Rule struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Publish     bool      `json:"publish"`
	Updated     int64     `json:"updated"` // ms since 1970
	Annotations KeyValues `json:"annotations"`
	Trigger     FullName  `json:"trigger"`
	Action      FullName  `json:"action"`
	Active      bool      `json:"active"`
	// Orphan: the trigger was deleted since. A new one of that name does not
	// take the rule over; an update of the rule links it again.
	Orphan bool `json:"orphan,omitempty"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}
