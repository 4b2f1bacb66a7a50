// Package whisk holds what OpenWhisk is about: namespaces, actions, activations,
// their limits, checks and the texts that clients see. It does no I/O.
package whisk

import (
	"bytes"
	"encoding/json"
)

// KeyValue is one parameter or annotation. Value is JSON as it was given.
type KeyValue struct {
	Key        string          `json:"key"`
	Value      json.RawMessage `json:"value"`
	Init       bool            `json:"init,omitempty"`
	Encryption string          `json:"encryption,omitempty"`
}

// KeyValues is a parameter or annotation list: keys are unique, order is kept.
type KeyValues []KeyValue

// Find answers the value of key, or nil.
func (l KeyValues) Find(key string) json.RawMessage {
	for i := range l {
		if l[i].Key == key {
			return l[i].Value
		}
	}
	return nil
}

// With answers a copy of l in which key has the given value, at its old place
// or at the end.
func (l KeyValues) With(key string, value json.RawMessage) KeyValues {
	out := make(KeyValues, 0, len(l)+1)
	found := false
	for _, kv := range l {
		if kv.Key == key {
			kv.Value, found = value, true
		}
		out = append(out, kv)
	}
	if !found {
		out = append(out, KeyValue{Key: key, Value: value})
	}
	return out
}

// MarshalJSON writes an empty list as [], never as null.
func (l KeyValues) MarshalJSON() ([]byte, error) {
	if len(l) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]KeyValue(l))
}

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
