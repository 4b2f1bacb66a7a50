// Package upstream says where a request goes: which node a balancer picks, at
// which address it is, and over which kept-alive connection it is reached.
//
// An Upstream is compiled from its configuration and closed with it. What must
// outlive changes of the configuration is in the Pool, found by identity:
// connections by their endpoint's Key, health and the counters of balancers by
// the key of the resource that the upstream is configured in.
package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/upstream/discovery"
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
	// RetryTimeout bounds the time from the first attempt in which a retry may
	// begin; 0 is no bound.
	RetryTimeout time.Duration
	Timeouts     Timeouts
	HostMode     HostMode
	FixedHost    string
	// Scheme is http, https, grpc, grpcs, tcp, tls, udp or kafka. TLS says that
	// connections speak it.
	Scheme string
	TLS    bool
	rpc    bool

	retries   *int
	pool      *Pool
	key       *Key // of its endpoints, without address
	algorithm *algorithm
	hashKey   *hashKey // of chash
	checks    *resource.Checks
	shared    *shared // nil if there is nothing to share
	serial    uint64  // grows from one compiled upstream to the next
	closed    atomic.Bool

	nodes       []*Node           // as configured
	service     discovery.Service // that the nodes are learnt from; nil if configured
	serviceName string

	mu       sync.Mutex // held to make a rotation
	rotation atomic.Pointer[rotation]
}

// Compile makes an upstream ready. key is the store key of the resource that it is
// configured in (/apisix/routes/1): health and counters are carried over from the
// upstream that had the key before. An upstream without key is not checked.
// ErrBalancer is answered for an unknown type, ErrNoRegistry for an unknown
// discovery_type, other errors for what this gateway does not serve.
//
// A client_cert_id has been replaced by the certificate that it names. The
// upstream is closed with Close when it is no longer configured.
func (p *Pool) Compile(key string, conf *resource.Upstream) (*Upstream, error) {
	u := &Upstream{
		RetryTimeout: seconds(conf.RetryTimeout),
		Timeouts:     TimeoutsOf(conf.Timeout, DefaultTimeouts),
		FixedHost:    conf.UpstreamHost,
		retries:      conf.Retries,
		pool:         p,
	}
	if u.algorithm = algorithms[conf.Type]; u.algorithm == nil {
		return nil, fmt.Errorf("%w %q", ErrBalancer, conf.Type)
	}
	if conf.Type == "chash" {
		u.hashKey = newHashKey(conf.HashOn, conf.Key)
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
	if err := u.source(conf); err != nil {
		return nil, err
	}
	if key != "" && !p.unchecked {
		u.checks = conf.Checks
	}
	if u.Watched() {
		p.share(u, key)
	}
	return u, nil
}

// Close ends what was done for the upstream, such as health checks, unless a newer
// one has its key. Requests that use it still may go on.
func (u *Upstream) Close() {
	if u.closed.Swap(true) {
		return
	}
	if u.service != nil {
		u.service.Close()
	}
	if u.shared != nil {
		u.pool.unshare(u.shared)
	}
}

// transport reads the scheme and what tells connections apart.
func (u *Upstream) transport(conf *resource.Upstream) error {
	u.Scheme = cmp.Or(conf.Scheme, "http")
	switch u.Scheme {
	case "http", "grpc", "tcp", "udp", "kafka":
	case "https", "grpcs", "tls":
		u.TLS = true
	default:
		return fmt.Errorf("upstream scheme %q is not served", u.Scheme)
	}
	u.rpc = u.Scheme == "grpc" || u.Scheme == "grpcs"
	key := Key{TLS: u.TLS, Keep: u.pool.keep}
	if u.Scheme == "grpcs" {
		key.Protocol = "h2"
	}
	if k := conf.KeepalivePool; k != nil {
		own := Keepalive{Size: k.Size, Idle: seconds(k.IdleTimeout), Requests: k.Requests}
		key.Keep = own.over(DefaultKeepalive)
	}
	if t := conf.TLS; t != nil && u.TLS {
		key.ClientCert, key.ClientKey = t.ClientCert, t.ClientKey
		if t.ClientCertID != "" && t.ClientCert == "" {
			return fmt.Errorf("no client certificate %s", t.ClientCertID)
		}
	}
	u.key = u.pool.common(key)
	return nil
}

// source reads where the nodes are from.
func (u *Upstream) source(conf *resource.Upstream) (err error) {
	if conf.ServiceName == "" {
		u.nodes = u.makeNodes(conf.Nodes)
		return nil
	}
	u.serviceName = conf.ServiceName
	u.service, err = u.pool.registries.Service(conf.DiscoveryType, conf.ServiceName, conf.DiscoveryArgs)
	return err
}

// standardPort is the port of a node that has none.
func (u *Upstream) standardPort() int {
	if u.TLS {
		return 443
	}
	return 80
}

// makeNodes collapses nodes of the same address and adds default ports.
func (u *Upstream) makeNodes(list []resource.Node) []*Node {
	seen := map[string]bool{}
	port := u.standardPort()
	nodes := make([]*Node, 0, len(list))
	for _, n := range list {
		node := &Node{upstream: u, Weight: n.Weight, Priority: n.Priority, port: cmp.Or(n.Port, port)}
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
		nodes = append(nodes, node)
	}
	return nodes
}

// RPC says that nodes are called by gRPC, over HTTP/2.
func (u *Upstream) RPC() bool { return u.rpc }

// Empty says that no node is configured and none can be learnt.
func (u *Upstream) Empty() bool { return len(u.nodes) == 0 && u.service == nil }

// Retries is how many more nodes may be tried after the first.
func (u *Upstream) Retries() int {
	if u.retries != nil {
		return *u.retries
	}
	if u.service == nil {
		return max(0, len(u.nodes)-1)
	}
	if r := u.rotation.Load(); r != nil {
		return max(0, len(r.nodes)-1)
	}
	return 0
}
