package whisk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Overrides are what one namespace has in place of the platform's limits: nil is
// what it has not of its own. The names are those of OpenWhisk's limits
// documents; memory and logs are in MB, timeouts in ms, sizes in bytes.
type Overrides struct {
	InvocationsPerMinute  *int `json:"invocationsPerMinute,omitempty"`
	ConcurrentInvocations *int `json:"concurrentInvocations,omitempty"`
	FiresPerMinute        *int `json:"firesPerMinute,omitempty"`

	MinActionMemory      *int `json:"minActionMemory,omitempty"`
	MaxActionMemory      *int `json:"maxActionMemory,omitempty"`
	MinActionLogs        *int `json:"minActionLogs,omitempty"`
	MaxActionLogs        *int `json:"maxActionLogs,omitempty"`
	MinActionTimeout     *int `json:"minActionTimeout,omitempty"`
	MaxActionTimeout     *int `json:"maxActionTimeout,omitempty"`
	MinActionConcurrency *int `json:"minActionConcurrency,omitempty"`
	MaxActionConcurrency *int `json:"maxActionConcurrency,omitempty"`
	MaxActionInstances   *int `json:"maxActionInstances,omitempty"`

	MaxParameterSize *int `json:"maxParameterSize,omitempty"`
	MaxPayloadSize   *int `json:"maxPayloadSize,omitempty"`

	// AllowedKinds are those that actions may have; nil is all.
	AllowedKinds []string `json:"allowedKinds,omitempty"`
	// StoreActivations false: calls get ids, but no record of them is kept.
	StoreActivations *bool `json:"storeActivations,omitempty"`
}

// numbers lists the numeric overrides with the least value each may have.
func (o *Overrides) numbers() []struct {
	name  string
	value *int
	least int
} {
	return []struct {
		name  string
		value *int
		least int
	}{
		{"invocationsPerMinute", o.InvocationsPerMinute, 0},
		{"concurrentInvocations", o.ConcurrentInvocations, 0},
		{"firesPerMinute", o.FiresPerMinute, 0},
		{"minActionMemory", o.MinActionMemory, 1},
		{"maxActionMemory", o.MaxActionMemory, 1},
		{"minActionLogs", o.MinActionLogs, 0},
		{"maxActionLogs", o.MaxActionLogs, 0},
		{"minActionTimeout", o.MinActionTimeout, 1},
		{"maxActionTimeout", o.MaxActionTimeout, 1},
		{"minActionConcurrency", o.MinActionConcurrency, 1},
		{"maxActionConcurrency", o.MaxActionConcurrency, 1},
		{"maxActionInstances", o.MaxActionInstances, 1},
		{"maxParameterSize", o.MaxParameterSize, 1},
		{"maxPayloadSize", o.MaxPayloadSize, 1},
	}
}

// Patched answers a copy of o in which the members of patch, a JSON object, are
// replaced, and those that it gives as null unset. Errors are for clients.
func (o *Overrides) Patched(patch []byte) (*Overrides, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := new(Overrides)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, err
	}
	if raw := bytes.TrimSpace(patch); len(raw) == 0 || raw[0] != '{' {
		return nil, fmt.Errorf("limits must be an object")
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(patch, &names); err != nil {
		return nil, err
	}
	if _, given := names["allowedKinds"]; given {
		p.AllowedKinds = nil // decoding would write into the list that is there
	}
	d := json.NewDecoder(bytes.NewReader(patch))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, err
	}
	if len(p.AllowedKinds) == 0 {
		p.AllowedKinds = nil
	}
	return p, nil
}

// Check answers what is wrong with o over the limits of the platform, or nil.
func (o *Overrides) Check(platform *SystemLimits) error {
	for _, n := range o.numbers() {
		if n.value == nil {
			continue
		}
		if *n.value < n.least || *n.value > math.MaxInt32 {
			return fmt.Errorf("%s must be a whole number from %d to %d", n.name, n.least, math.MaxInt32)
		}
	}
	l := o.Over(platform)
	for _, r := range []struct {
		name string
		Range
	}{{"Memory", l.MemoryMB}, {"Logs", l.LogsMB}, {"Timeout", l.TimeoutMS}, {"Concurrency", l.Concurrency}} {
		if r.Min > r.Max {
			return fmt.Errorf("minAction%s %d is above maxAction%s %d", r.name, r.Min, r.name, r.Max)
		}
	}
	for _, kind := range o.AllowedKinds {
		if kind == "" || len(kind) > MaxNameLength {
			return fmt.Errorf("allowedKinds must be names of kinds, such as nodejs:20")
		}
	}
	return nil
}

// Over answers the limits in force for a namespace with these overrides. A
// default that they leave outside its bounds moves to the nearest bound.
func (o *Overrides) Over(platform *SystemLimits) *SystemLimits {
	l := *platform
	set := func(to *int, from *int) {
		if from != nil {
			*to = *from
		}
	}
	set(&l.Namespace.InvocationsPerMinute, o.InvocationsPerMinute)
	set(&l.Namespace.ConcurrentInvocations, o.ConcurrentInvocations)
	set(&l.Namespace.FiresPerMinute, o.FiresPerMinute)
	set(&l.Namespace.ActionInstances, o.MaxActionInstances)
	for _, r := range []struct {
		to       *Range
		min, max *int
	}{
		{&l.MemoryMB, o.MinActionMemory, o.MaxActionMemory},
		{&l.LogsMB, o.MinActionLogs, o.MaxActionLogs},
		{&l.TimeoutMS, o.MinActionTimeout, o.MaxActionTimeout},
		{&l.Concurrency, o.MinActionConcurrency, o.MaxActionConcurrency},
	} {
		set(&r.to.Min, r.min)
		set(&r.to.Max, r.max)
		r.to.Default = min(max(r.to.Default, r.to.Min), r.to.Max)
	}
	if o.MaxParameterSize != nil {
		l.Parameters = int64(*o.MaxParameterSize)
	}
	if o.MaxPayloadSize != nil {
		l.Payload = int64(*o.MaxPayloadSize)
	}
	return &l
}

// Empty tells whether o overrides nothing.
func (o *Overrides) Empty() bool {
	for _, n := range o.numbers() {
		if n.value != nil {
			return false
		}
	}
	return o.AllowedKinds == nil && o.StoreActivations == nil
}

// Give sets the limits of an identity to those in force with these overrides.
func (o *Overrides) Give(id *Identity, platform *SystemLimits) {
	id.Limits = platform.Namespace
	if o.Empty() {
		return
	}
	id.System = o.Over(platform)
	id.Limits = id.System.Namespace
	id.Kinds = slices.Clone(o.AllowedKinds)
	id.Unrecorded = o.StoreActivations != nil && !*o.StoreActivations
}
