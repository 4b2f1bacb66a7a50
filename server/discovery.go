package server

import (
	"millrace/config"
	"millrace/gateway/upstream"
	"millrace/gateway/upstream/discovery"
	"millrace/gateway/upstream/resolver"
	"millrace/resource"
)

// upstreamSettings says how the gateway finds and reaches nodes.
func (s *Server) upstreamSettings(cfg *config.Gateway) (upstream.Settings, error) {
	registries, err := discovery.New(registriesOf(&cfg.Discovery), s.log)
	r := &cfg.Resolver
	return upstream.Settings{
		Keepalive: upstream.Keepalive{
			Size: zeroIsNone(cfg.Upstream.Keepalive), Idle: cfg.Upstream.KeepaliveTimeout, Requests: cfg.Upstream.KeepaliveRequests,
		},
		Resolver: resolver.New(resolver.Config{
			Servers: r.Servers, Valid: r.Valid, Timeout: r.Timeout, NoSearch: !r.Search,
		}),
		Registries: registries,
		NoChecks:   cfg.NoHealthChecks,
	}, err
}

func registriesOf(d *config.Discovery) discovery.Config {
	c := discovery.Config{}
	if r := d.DNS; r != nil {
		c.DNS = &discovery.DNS{Servers: r.Servers, ResolvConf: r.ResolvConf, Order: r.Order}
	}
	if r := d.Consul; r != nil {
		c.Consul = &discovery.Consul{
			Servers: r.Servers, Token: r.Token, Weight: r.Weight, FetchInterval: r.FetchInterval, Timeout: r.Timeouts.Sum(),
			SkipServices: r.Skip, DefaultService: nodeOf(r.Fallback),
		}
	}
	if r := d.ConsulKV; r != nil {
		c.ConsulKV = &discovery.ConsulKV{
			Servers: r.Servers, Token: r.Token, Prefix: r.Prefix, Weight: r.Weight, FetchInterval: r.FetchInterval, Timeout: r.Timeouts.Sum(),
			SkipKeys: r.Skip, DefaultServer: nodeOf(r.Fallback),
		}
	}
	if r := d.Eureka; r != nil {
		c.Eureka = &discovery.Eureka{Host: r.Hosts, Prefix: r.Prefix, Weight: r.Weight, FetchInterval: r.FetchInterval, Timeout: r.Timeouts.Sum()}
	}
	if r := d.Nacos; r != nil {
		c.Nacos = &discovery.Nacos{
			Host: r.Hosts, Prefix: r.Prefix, Weight: r.Weight, FetchInterval: r.FetchInterval, Timeout: r.Timeouts.Sum(),
			AccessKey: r.AccessKey, SecretKey: r.SecretKey,
		}
	}
	for _, k := range d.Kubernetes {
		c.Kubernetes = append(c.Kubernetes, discovery.Kubernetes(k))
	}
	return c
}

func nodeOf(n *config.StaticNode) *resource.Node {
	if n == nil {
		return nil
	}
	return &resource.Node{Host: n.Host, Port: n.Port, Weight: n.Weight}
}
