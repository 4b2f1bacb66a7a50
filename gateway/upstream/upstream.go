// Package upstream says where a request goes: which node a balancer picks, at
// which address it is, and over which kept-alive connection it is reached.
//
// An Upstream is compiled from its configuration and thrown away with it. The
// Pool of connections is found by identity and outlives configuration changes.
package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"millrace/resource"
)

// ErrBalancer says that an upstream names a balancer that does not exist; its
// requests are answered with 500.
var ErrBalancer = errors.New("unknown balancer")

// HostMode says which Host an upstream is sent.
type HostMode uint8

// The values of pass_host.
const (
	PassClientHost HostMode = iota
	PassNodeHost
	PassFixedHost
)

// Timeouts bound the steps of a call. Read is the longest gap between two reads,
// Send that between two writes.
type Timeouts struct{ Connect, Send, Read time.Duration }

// DefaultTimeouts hold where neither route nor upstream says otherwise.
var DefaultTimeouts = Timeouts{60 * time.Second, 60 * time.Second, 60 * time.Second}

// TimeoutsOf converts configured timeouts, in seconds; nil answers def.
func TimeoutsOf(t *resource.Timeout, def Timeouts) Timeouts {
	if t == nil {
		return def
	}
	return Timeouts{seconds(t.Connect), seconds(t.Send), seconds(t.Read)}
}

// forever is a duration that cannot overflow when it is added to the time.
const forever = 100 * 365 * 24 * time.Hour

func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), float64(forever)))
}

// Upstream is a compiled upstream.
type Upstream struct {
	// Retries is how many more nodes may be tried after the first.
	Retries int
	// RetryTimeout bounds the time from the first attempt in which a retry may
	// begin; 0 is no bound.
	RetryTimeout time.Duration
	Timeouts     Timeouts
	HostMode     HostMode
	FixedHost    string
	TLS          bool

	nodes  []*Node
	groups []Balancer // by descending priority; empty with at most one node
	pool   *Pool
	key    Key
}

// Compile makes an upstream ready. ErrBalancer is answered for an unknown type,
// other errors for what this gateway does not serve.
func Compile(conf *resource.Upstream, pool *Pool) (*Upstream, error) {
	u := &Upstream{
		RetryTimeout: seconds(conf.RetryTimeout),
		Timeouts:     TimeoutsOf(conf.Timeout, DefaultTimeouts),
		FixedHost:    conf.UpstreamHost,
		pool:         pool,
	}
	if err := u.transport(conf); err != nil {
		return nil, err
	}
	switch conf.PassHost {
	case "", "pass":
	case "node":
		u.HostMode = PassNodeHost
	case "rewrite":
		u.HostMode = PassFixedHost
	default:
		return nil, fmt.Errorf("unknown pass_host %q", conf.PassHost)
	}
	make := balancers[conf.Type]
	if make == nil {
		return nil, fmt.Errorf("%w %q", ErrBalancer, conf.Type)
	}
	u.addNodes(conf.Nodes)
	if len(u.nodes) > 1 {
		u.group(make)
	}
	u.Retries = max(0, len(u.nodes)-1)
	if conf.Retries != nil {
		u.Retries = *conf.Retries
	}
	return u, nil
}

// transport reads the scheme and what tells connections apart.
func (u *Upstream) transport(conf *resource.Upstream) error {
	switch conf.Scheme {
	case "", "http":
	case "https":
		u.TLS = true
	default:
		return fmt.Errorf("upstream scheme %q is not served", conf.Scheme)
	}
	u.key = Key{TLS: u.TLS, Keep: u.pool.keep}
	if k := conf.KeepalivePool; k != nil {
		own := Keepalive{Size: k.Size, Idle: seconds(k.IdleTimeout), Requests: k.Requests}
		u.key.Keep = own.over(DefaultKeepalive)
	}
	if t := conf.TLS; t != nil && u.TLS {
		if t.ClientCertID != "" {
			return errors.New("client_cert_id is not served")
		}
		u.key.ClientCert, u.key.ClientKey = t.ClientCert, t.ClientKey
	}
	return nil
}

// addNodes collapses nodes of the same address and adds default ports.
func (u *Upstream) addNodes(nodes resource.Nodes) {
	seen := map[string]bool{}
	port := 80
	if u.TLS {
		port = 443
	}
	for _, n := range nodes {
		node := &Node{upstream: u, Weight: n.Weight, Priority: n.Priority, port: n.Port}
		if node.port == 0 {
			node.port = port
		}
		node.host = strings.TrimSuffix(strings.TrimPrefix(n.Host, "["), "]")
		node.Addr = net.JoinHostPort(node.host, strconv.Itoa(node.port))
		node.HostField = n.Host
		if node.port != port {
			node.HostField = node.Addr
		}
		if seen[node.Addr] {
			continue
		}
		seen[node.Addr] = true
		if _, err := netip.ParseAddr(node.host); err == nil {
			node.fixed = true
		}
		u.nodes = append(u.nodes, node)
	}
}

// group makes a balancer for each priority.
func (u *Upstream) group(make func([]*Node) Balancer) {
	byPriority := map[int][]*Node{}
	var priorities []int
	for _, n := range u.nodes {
		if byPriority[n.Priority] == nil {
			priorities = append(priorities, n.Priority)
		}
		byPriority[n.Priority] = append(byPriority[n.Priority], n)
	}
	sort.Sort(sort.Reverse(sort.IntSlice(priorities)))
	for _, p := range priorities {
		u.groups = append(u.groups, make(byPriority[p]))
	}
}

// Len is the number of nodes.
func (u *Upstream) Len() int { return len(u.nodes) }

// Pick answers a node that is not among those tried, nil if there is none. A
// group of lower priority is used when all of the higher have been tried.
func (u *Upstream) Pick(tried Tried) *Node {
	if len(u.nodes) == 1 {
		if tried.Has(u.nodes[0]) {
			return nil
		}
		return u.nodes[0]
	}
	for _, g := range u.groups {
		if n := g.Pick(tried); n != nil {
			return n
		}
	}
	return nil
}

// randomStart spreads the first picks of many processes over the nodes.
func randomStart(n int) int { return rand.IntN(n) }
