package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"millrace/resource"
)

// Consul is a Consul whose health endpoint is asked for the nodes of services.
type Consul struct {
	Servers       []string // URLs
	Token         string
	Weight        int           // of every node; 0 is 1
	FetchInterval time.Duration // 0 is three seconds
	Timeout       time.Duration // 0 is two seconds
	SkipServices  []string      // that are never found, nor is Consul itself
	// DefaultService stands for a service without nodes; nil if none does.
	DefaultService *resource.Node
}

// consul asks several servers, whose answers are put together.
type consul struct {
	*poller
	conf    Consul
	servers []*server
	last    []map[name][]resource.Node // the good answers of each server
}

func newConsul(c *Consul, log *slog.Logger) (registry, error) {
	r := &consul{conf: *c, poller: newPoller("consul", log, cmp.Or(c.FetchInterval, 3*time.Second))}
	r.conf.Weight = cmp.Or(c.Weight, 1)
	var err error
	if r.servers, err = consulServers(c.Servers, c.Token, c.Timeout); err != nil {
		return nil, err
	}
	r.last = make([]map[name][]resource.Node, len(r.servers))
	r.fetch, r.everything = r.ask, r.askEverything
	return r, nil
}

func consulServers(addresses []string, token string, timeout time.Duration) ([]*server, error) {
	servers, err := newServers(addresses, cmp.Or(timeout, 2*time.Second))
	for _, s := range servers {
		if token != "" {
			s.header.Set("X-Consul-Token", token)
		}
	}
	return servers, err
}

// ask asks every server. One that fails counts with what it answered before.
func (r *consul) ask(ctx context.Context, wanted []name) (map[name][]resource.Node, error) {
	return together(r.servers, r.last, func(s *server) (map[name][]resource.Node, error) {
		return r.askServer(ctx, s, wanted)
	}, r.conf.DefaultService)
}

func (r *consul) askEverything(ctx context.Context) (map[name][]resource.Node, error) {
	answers := make([]map[name][]resource.Node, len(r.servers))
	return together(r.servers, answers, func(s *server) (map[name][]resource.Node, error) {
		var catalog map[string]json.RawMessage
		if err := s.call(ctx, "GET", "/v1/catalog/services", nil, &catalog); err != nil {
			return nil, err
		}
		var all []name
		for service := range catalog {
			if !r.skips(service) {
				all = append(all, name{service: service})
			}
		}
		return r.askServer(ctx, s, all)
	}, nil)
}

func (r *consul) skips(service string) bool {
	return service == "consul" || slices.Contains(r.conf.SkipServices, service)
}

// together puts the answers of servers together; last are those of before.
func together(servers []*server, last []map[name][]resource.Node, ask func(*server) (map[name][]resource.Node, error), preset *resource.Node) (map[name][]resource.Node, error) {
	all := map[name][]resource.Node{}
	var errs []error
	for i, s := range servers {
		found, err := ask(s)
		if err == nil {
			last[i] = found
		}
		errs = append(errs, err)
		for n, nodes := range last[i] {
			all[n] = append(all[n], nodes...)
		}
	}
	if preset != nil {
		for n, nodes := range all {
			if len(nodes) == 0 {
				all[n] = []resource.Node{*preset}
			}
		}
	}
	return all, errors.Join(errs...)
}

func (r *consul) askServer(ctx context.Context, s *server, wanted []name) (map[name][]resource.Node, error) {
	found := map[name][]resource.Node{}
	for _, n := range wanted {
		nodes, err := r.askService(ctx, s, n.service)
		if err != nil {
			return nil, err
		}
		found[n] = nodes
	}
	return found, nil
}

func (r *consul) askService(ctx context.Context, s *server, service string) ([]resource.Node, error) {
	if r.skips(service) {
		return nil, nil
	}
	var answer []struct {
		Node    struct{ Address string }
		Service struct {
			Address string
			Port    int
		}
	}
	err := s.call(ctx, "GET", "/v1/health/service/"+url.PathEscape(service), url.Values{"passing": {"true"}}, &answer)
	if err != nil && !errors.Is(err, errAbsent) {
		return nil, err
	}
	var nodes []resource.Node
	for _, a := range answer {
		nodes = append(nodes, resource.Node{
			Host: cmp.Or(a.Service.Address, a.Node.Address), Port: a.Service.Port, Weight: r.conf.Weight,
		})
	}
	return nodes, nil
}

// ConsulKV is a Consul whose key-value store has a key for each node,
// <prefix>/<service>/<host:port>, with the node's weight in its value. A service
// is named by its URL: http://127.0.0.1:8500/v1/kv/upstreams/webpages/.
type ConsulKV struct {
	Servers       []string // URLs
	Token         string
	Prefix        string        // "" is upstreams
	Weight        int           // of a node without one; 0 is 1
	FetchInterval time.Duration // 0 is three seconds
	Timeout       time.Duration // 0 is two seconds
	SkipKeys      []string      // that stand for no node
	// DefaultServer stands for a service without nodes; nil if none does.
	DefaultServer *resource.Node
}

type consulKV struct {
	*poller
	conf    ConsulKV
	servers []*server
	last    []map[name][]resource.Node
}

func newConsulKV(c *ConsulKV, log *slog.Logger) (registry, error) {
	r := &consulKV{conf: *c, poller: newPoller("consul_kv", log, cmp.Or(c.FetchInterval, 3*time.Second))}
	r.conf.Weight, r.conf.Prefix = cmp.Or(c.Weight, 1), cmp.Or(c.Prefix, "upstreams")
	var err error
	if r.servers, err = consulServers(c.Servers, c.Token, c.Timeout); err != nil {
		return nil, err
	}
	r.last = make([]map[name][]resource.Node, len(r.servers))
	r.fetch, r.everything = r.ask, r.askEverything
	return r, nil
}

func (r *consulKV) ask(ctx context.Context, wanted []name) (map[name][]resource.Node, error) {
	return together(r.servers, r.last, func(s *server) (map[name][]resource.Node, error) {
		all, err := r.askServer(ctx, s)
		found := map[name][]resource.Node{}
		for _, n := range wanted {
			found[n] = all[name{service: strings.TrimSuffix(n.service, "/") + "/"}]
		}
		return found, err
	}, r.conf.DefaultServer)
}

func (r *consulKV) askEverything(ctx context.Context) (map[name][]resource.Node, error) {
	answers := make([]map[name][]resource.Node, len(r.servers))
	return together(r.servers, answers, func(s *server) (map[name][]resource.Node, error) { return r.askServer(ctx, s) }, nil)
}

// askServer answers the nodes that a server knows, by the URLs of their services.
func (r *consulKV) askServer(ctx context.Context, s *server) (map[name][]resource.Node, error) {
	var pairs []struct {
		Key   string
		Value []byte // Base64 in JSON
	}
	err := s.call(ctx, "GET", "/v1/kv/"+r.conf.Prefix, url.Values{"recurse": {"true"}}, &pairs)
	if err != nil && !errors.Is(err, errAbsent) {
		return nil, err
	}
	base := strings.TrimSuffix(s.base.String(), "/") + "/v1/kv/"
	found := map[name][]resource.Node{}
	for _, p := range pairs {
		if slices.Contains(r.conf.SkipKeys, p.Key) {
			continue
		}
		if node, ok := r.node(path.Base(p.Key), p.Value); ok {
			n := name{service: base + path.Dir(p.Key) + "/"}
			found[n] = append(found[n], node)
		}
	}
	return found, nil
}

// node reads a node's key and value; a pair that is none is left out.
func (r *consulKV) node(addr string, value []byte) (resource.Node, bool) {
	host, port, err := resource.SplitAddr(addr)
	if err != nil || port == 0 {
		return resource.Node{}, false
	}
	attributes := struct{ Weight *int }{}
	if len(value) > 0 && json.Unmarshal(value, &attributes) != nil {
		return resource.Node{}, false
	}
	n := resource.Node{Host: host, Port: port, Weight: r.conf.Weight}
	if attributes.Weight != nil {
		n.Weight = max(0, *attributes.Weight)
	}
	return n, true
}
