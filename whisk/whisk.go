// Package whisk holds what OpenWhisk is about: namespaces, actions, activations,
// their limits, checks and the texts that clients see. It does no I/O.
package whisk

import (
	"bytes"
	"encoding/json"
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
}

// NamespaceLimits bound what one namespace may do.
type NamespaceLimits struct {
	InvocationsPerMinute  int
	ConcurrentInvocations int
	FiresPerMinute        int
}
