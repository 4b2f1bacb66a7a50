package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"millrace/gateway/upstream/resolver"
	"millrace/resource"
)

// DNS finds nodes by DNS: those of SRV records with their port, weight and
// priority, or the addresses of a name. The name may be followed by a port, at which
// then all nodes are.
type DNS struct {
	Servers    []string // address:port; none means those of ResolvConf
	ResolvConf string   // "" is /etc/resolv.conf
	// Order is the types of records asked for, one after the other until there are
	// some: last (the one there was last), SRV, A, AAAA. CNAME stands for nothing:
	// aliases are followed for each type. Empty is all of them so.
	Order []string
}

type dnsRegistry struct {
	services
	resolver *resolver.Resolver
	order    []string
}

func newDNS(c *DNS) registry {
	order := c.Order
	if len(order) == 0 {
		order = []string{"last", "SRV", "A", "AAAA", "CNAME"}
	}
	return &dnsRegistry{
		resolver: resolver.New(resolver.Config{
			Servers: c.Servers, ResolvConf: c.ResolvConf,
			// A registry's names are its own, not the machine's.
			HostsFile: os.DevNull, NoSearch: len(c.Servers) > 0,
		}),
		order: order,
	}
}

// service implements registry.
func (r *dnsRegistry) service(service string, _ Args) (Service, error) {
	host, port, err := resource.SplitAddr(service)
	if err != nil {
		return nil, fmt.Errorf("reading service_name %s: %w", service, err)
	}
	sub, _ := r.get(name{service: service})
	return &dnsService{subscription: sub, registry: r, host: host, port: port}, nil
}

// run implements registry; names are looked up when requests need them.
func (r *dnsRegistry) run(context.Context) {}

// dnsService is a service whose nodes are looked up when they are needed.
type dnsService struct {
	*subscription
	registry *dnsRegistry
	host     string
	port     int

	mu    sync.Mutex // held while looking up
	last  string     // type of the records there were
	miss  error      // why there are none
	until atomic.Int64
}

// Nodes implements Service. While one request looks up, others go on with what is
// known.
func (s *dnsService) Nodes(ctx context.Context) (*List, error) {
	known := s.list.Load()
	if known != nil && time.Now().UnixNano() < s.until.Load() {
		return known, nil
	}
	if known != nil {
		if !s.mu.TryLock() {
			return known, nil
		}
	} else {
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if time.Now().UnixNano() >= s.until.Load() { // nobody has looked up while this one waited
		var nodes []resource.Node
		var valid time.Duration
		if nodes, valid, s.miss = s.lookup(ctx); s.miss == nil {
			s.set(nodes)
		} else {
			valid = minRetry
		}
		s.until.Store(time.Now().Add(valid).UnixNano())
	}
	if l := s.list.Load(); l != nil {
		return l, nil
	}
	return nil, s.miss
}

func (s *dnsService) lookup(ctx context.Context) (nodes []resource.Node, valid time.Duration, err error) {
	err = resolver.ErrNotFound
	for _, kind := range s.registry.order {
		if kind == "last" {
			kind = s.last
		}
		var e error
		switch kind {
		case "SRV":
			nodes, valid, e = s.srv(ctx)
		case "A":
			nodes, valid, e = s.addrs(ctx, dns.TypeA)
		case "AAAA":
			nodes, valid, e = s.addrs(ctx, dns.TypeAAAA)
		default:
			continue
		}
		if e == nil && len(nodes) > 0 {
			s.last = kind
			return nodes, valid, nil
		}
		if e != nil && !errors.Is(e, resolver.ErrNotFound) {
			err = e
		}
	}
	return nil, 0, err
}

func (s *dnsService) addrs(ctx context.Context, kind uint16) (nodes []resource.Node, valid time.Duration, err error) {
	records, valid, err := s.registry.resolver.Records(ctx, s.host, kind)
	for _, rr := range records {
		switch rr := rr.(type) {
		case *dns.A:
			nodes = append(nodes, resource.Node{Host: rr.A.String(), Port: s.port, Weight: 1})
		case *dns.AAAA:
			nodes = append(nodes, resource.Node{Host: rr.AAAA.String(), Port: s.port, Weight: 1})
		}
	}
	sortNodes(nodes)
	return nodes, valid, err
}

// srvTarget is a SRV record with the addresses of its target.
type srvTarget struct {
	*dns.SRV
	addrs []netip.Addr
}

// srv answers the nodes of SRV records: each address of each target, at the port of
// service_name if that has one.
func (s *dnsService) srv(ctx context.Context) (nodes []resource.Node, valid time.Duration, err error) {
	records, valid, err := s.registry.resolver.Records(ctx, s.host, dns.TypeSRV)
	if err != nil {
		return nil, 0, err
	}
	var targets []srvTarget
	for _, rr := range records {
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Target == "." {
			continue
		}
		found, err := s.registry.resolver.Lookup(ctx, strings.TrimSuffix(srv.Target, "."))
		if err != nil {
			continue // the other targets may have addresses
		}
		targets = append(targets, srvTarget{srv, found.Addrs})
		valid = min(valid, max(minRetry, time.Until(found.Until)))
	}
	return s.srvNodes(targets), valid, nil
}

// srvNodes shares the weight of each record among the addresses of its target. What
// DNS prefers has the lower priority, here it has the higher.
func (s *dnsService) srvNodes(targets []srvTarget) (nodes []resource.Node) {
	shares := make([]float64, len(targets))
	for i, t := range targets {
		shares[i] = float64(max(1, t.Weight)) / float64(len(t.addrs))
	}
	scale := scaleOf(shares)
	for i, t := range targets {
		for _, a := range t.addrs {
			nodes = append(nodes, resource.Node{
				Host: a.String(), Port: cmp.Or(s.port, int(t.Port)),
				Weight: max(1, int(math.Round(shares[i]*scale))), Priority: -int(t.Priority),
			})
		}
	}
	sortNodes(nodes)
	return nodes
}

// sortNodes undoes the shuffling of name servers, which is no change.
func sortNodes(nodes []resource.Node) {
	slices.SortFunc(nodes, func(a, b resource.Node) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
}
