// Package whisk holds what OpenWhisk is about: namespaces, actions, activations,
// their limits, checks and the texts that clients see. It does no I/O.
package whisk

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
)

// Truthy tells whether a JSON value counts as true for an annotation: anything
// but false, 0, null, "" and absence (nil).
func Truthy(v json.RawMessage) bool {
	switch string(bytes.TrimSpace(v)) {
	case "", "false", "0", "null", `""`:
		return false
	}
	return true
}

// Limits bound one action. Units: milliseconds, megabytes, calls at once in one
// instance, instances at once (nil: not set).
type Limits struct {
	TimeoutMS   int  `json:"timeout"`
	MemoryMB    int  `json:"memory"`
	LogsMB      int  `json:"logs"`
	Concurrency int  `json:"concurrency"`
	Instances   *int `json:"instances,omitempty"`
}

// Identity is who calls: a subject with its namespace and key.
type Identity struct {
	Subject   string
	Namespace string
	// UUID and Secret are the two halves of the key. The secret is never logged.
	UUID, Secret string
	Limits       NamespaceLimits
	// System are the limits of this namespace's actions and requests, nil for
	// those of the platform. Read them by SystemLimits.
	System *SystemLimits
	// Kinds are those that its actions may have; nil is all.
	Kinds []string
	// Created is when the namespace was made, in ms since 1970; 0: it has always
	// been there. What is older and has its name was another's.
	Created int64
	// Unrecorded: its calls get ids, but no record of them is kept.
	Unrecorded bool
}

// NamespaceLimits bound what one namespace may do.
type NamespaceLimits struct {
	InvocationsPerMinute  int
	ConcurrentInvocations int
	FiresPerMinute        int
	// ActionInstances is how many instances an action may ask for at most; 0: as
	// many as ConcurrentInvocations.
	ActionInstances int
}

// SystemLimits answers the limits of id's actions and requests; platform are
// those of namespaces that have none of their own.
func (id *Identity) SystemLimits(platform *SystemLimits) *SystemLimits {
	if id.System != nil {
		return id.System
	}
	return platform
}

// MaxInstances is how many instances at once an action of the namespace may ask
// for.
func (l *NamespaceLimits) MaxInstances() int {
	if l.ActionInstances > 0 {
		return l.ActionInstances
	}
	return l.ConcurrentInvocations
}

// CheckKind answers nil or the 403 for a kind that actions of the namespace may
// not have.
func (id *Identity) CheckKind(kind string) error {
	if id.Kinds == nil || kind == "sequence" || slices.Contains(id.Kinds, kind) {
		return nil
	}
	return &Error{Status: http.StatusForbidden, Msg: msgKindForbidden(kind)}
}
