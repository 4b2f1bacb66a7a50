package whisk

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

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
	// ID tells this trigger from others that had its name before. The catalog
	// gives it to a new one.
	ID string `json:"id"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}

// TriggerPut is the checked body of PUT triggers/{name}. What was not given is nil.
type TriggerPut struct {
	Version                 *Version
	Publish                 *bool
	Parameters, Annotations KeyValues
}

// ParseTriggerPut reads a PUT body. Errors are *Error.
func ParseTriggerPut(body []byte, s *SystemLimits) (*TriggerPut, error) {
	fields, err := putFields(body)
	if err != nil {
		return nil, err
	}
	var p TriggerPut
	if p.Version, p.Publish, err = parseHead(fields); err != nil {
		return nil, malformed(err)
	}
	if p.Parameters, p.Annotations, err = parseLists(fields); err != nil {
		return nil, malformed(err)
	}
	return &p, checkLists(p.Parameters, p.Annotations, s)
}

// Apply answers the trigger that results from putting p over old, or as a new
// one if old is nil. The error is the *Error 400 for a feed's name that is none.
func (p *TriggerPut) Apply(old *Trigger, namespace, name string, now time.Time) (*Trigger, error) {
	t := &Trigger{Namespace: namespace, Name: name, Version: FirstVersion.String()}
	if old != nil {
		c := *old
		t = &c
		t.Version = NextVersion(old.Version)
	} else if feed := p.Annotations.Find(AnnotationFeed); feed != nil && !validPath(feed) {
		return nil, &Error{Status: http.StatusBadRequest, Msg: MsgFeedNameInvalid}
	}
	t.Updated = now.UnixMilli()
	if p.Version != nil {
		t.Version = p.Version.String()
	}
	if p.Publish != nil {
		t.Publish = *p.Publish
	}
	if p.Parameters != nil {
		t.Parameters = p.Parameters
	}
	if p.Annotations != nil {
		t.Annotations = p.Annotations
	}
	return t, nil
}

// validPath tells whether raw is a text of names with slashes between them; one
// more may be in front.
func validPath(raw json.RawMessage) bool {
	s, err := text(raw)
	if err != nil {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "/"), "/") {
		if !ValidName(part) {
			return false
		}
	}
	return true
}
