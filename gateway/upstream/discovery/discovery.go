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
	"log/slog"
	"sync"

	"millrace/resource"
)

// ErrUnknown says that an upstream names a registry that is not configured; its
// requests are answered with 503.
var ErrUnknown = errors.New("unknown discovery_type")

// List is the nodes of a service at one time. It never changes.
type List struct {
	Nodes []resource.Node
}

// Service is one service of a registry.
type Service interface {
	// Nodes answers the present nodes: the same list until they change. It waits
	// until ctx ends for a registry that has not been asked yet.
	Nodes(ctx context.Context) (*List, error)
	// Close says that nobody asks for the service any more.
	Close()
}

// Config is the configured registries; nil leaves one out. The fields are those
// of APISIX's discovery section.
type Config struct {
	DNS        *DNS
	Consul     *Consul
	ConsulKV   *ConsulKV
	Eureka     *Eureka
	Nacos      *Nacos
	Kubernetes []Kubernetes
}

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
	// dump answers the nodes known, by service.
	dump() map[string]*List
}

// New makes the registries ready; they are asked while Run runs.
func New(conf Config, log *slog.Logger) (*Registries, error) {
	r := &Registries{byType: map[string]registry{}}
	add := func(kind string, make func() (registry, error)) error {
		reg, err := make()
		if err != nil {
			return fmt.Errorf("setting up discovery by %s: %w", kind, err)
		}
		r.byType[kind] = reg
		return nil
	}
	var errs []error
	if c := conf.DNS; c != nil {
		errs = append(errs, add("dns", func() (registry, error) { return newDNS(c), nil }))
	}
	if c := conf.Consul; c != nil {
		errs = append(errs, add("consul", func() (registry, error) { return newConsul(c, log) }))
	}
	if c := conf.ConsulKV; c != nil {
		errs = append(errs, add("consul_kv", func() (registry, error) { return newConsulKV(c, log) }))
	}
	if c := conf.Eureka; c != nil {
		errs = append(errs, add("eureka", func() (registry, error) { return newEureka(c, log) }))
	}
	if c := conf.Nacos; c != nil {
		errs = append(errs, add("nacos", func() (registry, error) { return newNacos(c, log) }))
	}
	if len(conf.Kubernetes) > 0 {
		errs = append(errs, add("kubernetes", func() (registry, error) { return newKubernetes(conf.Kubernetes, log) }))
	}
	return r, errors.Join(errs...)
}

// Args are the discovery_args of an upstream.
type Args struct {
	NamespaceID string `json:"namespace_id"`
	GroupName   string `json:"group_name"`
}

// Service answers a service of the registry that discovery_type names.
func (r *Registries) Service(kind, name string, args json.RawMessage) (Service, error) {
	if r == nil || r.byType[kind] == nil {
		return nil, fmt.Errorf("%w %q: config.yaml has no discovery.%s", ErrUnknown, kind, kind)
	}
	var a Args
	if len(args) > 0 {
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, fmt.Errorf("reading discovery_args: %w", err)
		}
	}
	return r.byType[kind].service(name, a)
}

// Dump answers the nodes that are known of a registry, in the Control API's form;
// ok is false if it is not configured.
func (r *Registries) Dump(kind string) (dump any, ok bool) {
	if r == nil || r.byType[kind] == nil {
		return nil, false
	}
	services := map[string][]resource.Node{}
	for name, l := range r.byType[kind].dump() {
		services[name] = append([]resource.Node{}, l.Nodes...)
	}
	return map[string]any{"services": services}, true
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
