package whisk

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Rule calls an action whenever a trigger of its namespace is fired.
type Rule struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Publish     bool      `json:"publish"`
	Updated     int64     `json:"updated"` // ms since 1970
	Annotations KeyValues `json:"annotations"`
	Trigger     FullName  `json:"trigger"`
	// TriggerID is the ID of the trigger that the rule was linked to. A trigger
	// of that name with another ID was made after the rule's was deleted: the
	// rule is an orphan until an update links it again.
	TriggerID string   `json:"triggerId"`
	Action    FullName `json:"action"` // as given: it may lead through a binding
	Active    bool     `json:"active"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}

// RulePut is the checked body of PUT rules/{name}. What was not given is nil; a
// namespace may be _.
type RulePut struct {
	Version         *Version
	Publish         *bool
	Annotations     KeyValues
	Trigger, Action *FullName
}

// ParseRulePut reads a PUT body. Errors are *Error.
func ParseRulePut(body []byte, s *SystemLimits) (*RulePut, error) {
	fields, err := putFields(body)
	if err != nil {
		return nil, err
	}
	var p RulePut
	if p.Version, p.Publish, err = parseHead(fields); err != nil {
		return nil, malformed(err)
	}
	if _, p.Annotations, err = parseLists(fields); err != nil {
		return nil, malformed(err)
	}
	if p.Trigger, err = parseOptionalReference(fields["trigger"]); err != nil {
		return nil, malformed(err)
	}
	if p.Action, err = parseOptionalReference(fields["action"]); err != nil {
		return nil, malformed(err)
	}
	if p.Trigger != nil && p.Trigger.Package != "" {
		return nil, malformed(errors.New(MsgFullNameMalformed))
	}
	return &p, checkLists(nil, p.Annotations, s)
}

func parseOptionalReference(raw json.RawMessage) (*FullName, error) {
	if isNull(raw) {
		return nil, nil
	}
	n, err := parseReference(raw)
	return &n, err
}

// Apply answers the rule that results from putting p over old, or as a new one,
// which is active, if old is nil. Whether its trigger and action exist is left to
// the caller, and so is the link to the trigger. The error is the *Error 400 for
// a new rule without trigger or action.
func (p *RulePut) Apply(old *Rule, namespace, name string, now time.Time) (*Rule, error) {
	r := &Rule{Namespace: namespace, Name: name, Version: FirstVersion.String(), Active: true}
	if old != nil {
		c := *old
		r = &c
		r.Version = NextVersion(old.Version)
	} else if p.Trigger == nil || p.Action == nil {
		return nil, &Error{Status: http.StatusBadRequest, Msg: MsgRuleIncomplete}
	}
	r.Updated = now.UnixMilli()
	if p.Version != nil {
		r.Version = p.Version.String()
	}
	if p.Publish != nil {
		r.Publish = *p.Publish
	}
	if p.Annotations != nil {
		r.Annotations = p.Annotations
	}
	if p.Trigger != nil {
		r.Trigger = p.Trigger.In(namespace)
	}
	if p.Action != nil {
		r.Action = p.Action.In(namespace)
	}
	return r, nil
}

// ParseRuleState reads the body of POST rules/{name}, {"status":"active"} or
// "inactive", and tells whether the rule is to be active. Errors are *Error.
func ParseRuleState(body []byte) (active bool, err error) {
	fields, err := putFields(body)
	if err != nil {
		return false, err
	}
	s, err := text(fields["status"])
	if err != nil {
		s = string(fields["status"])
	}
	switch s {
	case "active":
		return true, nil
	case "inactive":
		return false, nil
	}
	return false, malformed(errors.New(msgRuleState(s)))
}
