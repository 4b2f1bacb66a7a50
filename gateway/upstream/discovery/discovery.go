// Package discovery finds the nodes of services in the registries that the
// configuration names under discovery: DNS, Consul, Nacos, Eureka and the
// Kubernetes API. What a registry said last stays in use while it cannot be
// reached.
package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"millrace/resource"
)

// List is the nodes of a service at one time. It never changes.
type List struct {
	Nodes []resource.Node
}

// Service is one service of a registry.
type Service interface {
	// Nodes answers the present nodes: the same list until they change. It waits
	// for a registry that has not answered yet until ctx ends.
	Nodes(ctx context.Context) (*List, error)
}

// ErrUnknown says that an upstream names a registry that is not configured; its
// requests are answered with 503.
var ErrUnknown = errors.New("unknown discovery_type")

// Registries are the configured registries; nil has none.
type Registries struct {
	byType map[string]registry
}

// registry is one kind of registry.
type registry interface {
	// service answers a service; args are the upstream's discovery_args.
	service(name string, args Args) (Service, error)
	// run keeps services up to date until ctx ends.
	run(ctx context.Context)
	// dump answers what is known, for the Control API.
	dump() any
}

// Args are the discovery_args of an upstream.
type Args struct {
	NamespaceID string `json:"namespace_id"`
	GroupName   string `json:"group_name"`
}

// Service answers a service of the registry that discovery_type names.
func (r *Registries) Service(kind, name string, args json.RawMessage) (Service, error) {
	if r == nil || r.byType[kind] == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknown, kind)
	}
	var a Args
	if len(args) > 0 {
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, fmt.Errorf("reading discovery_args: %w", err)
		}
	}
	return r.byType[kind].service(name, a)
}

// Dump answers what is known of a registry; ok is false if it is not configured.
func (r *Registries) Dump(kind string) (dump any, ok bool) {
	if r == nil || r.byType[kind] == nil {
		return nil, false
	}
	return r.byType[kind].dump(), true
}

// Run follows the registries until ctx ends.
func (r *Registries) Run(ctx context.Context) {
	if r == nil {
		return
	}
	var running sync.WaitGroup
	for _, reg := range r.byType {
		running.Go(func() { reg.run(ctx) })
	}
	running.Wait()
}
