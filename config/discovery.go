package config

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// Discovery is the registries in which upstreams with a service_name find their
// nodes; nil is one that is not configured.
type Discovery struct {
	DNS        *DNSRegistry
	Consul     *ConsulRegistry
	ConsulKV   *ConsulRegistry
	Eureka     *HostRegistry
	Nacos      *HostRegistry
	Kubernetes []Cluster
}

// DNSRegistry is name servers, or the file that names them.
type DNSRegistry struct {
	Servers    []string // address:port
	ResolvConf string
	Order      []string
}

// ConsulRegistry is a Consul, of whose keys Prefix is for consul_kv alone. Zero
// values stand for APISIX's defaults, here and in the others.
type ConsulRegistry struct {
	Servers       []string
	Token, Prefix string
	Weight        int
	FetchInterval time.Duration
	Timeouts      StepTimeouts
	Skip          []string    // services or keys
	Fallback      *StaticNode // for a service without nodes
}

// HostRegistry is servers of Eureka or Nacos.
type HostRegistry struct {
	Hosts                []string // URLs, maybe with user and password
	Prefix               string
	Weight               int
	FetchInterval        time.Duration
	Timeouts             StepTimeouts
	AccessKey, SecretKey string // of Nacos
}

// StepTimeouts bound the steps of a request to a registry.
type StepTimeouts struct{ Connect, Send, Read time.Duration }

// Sum bounds the whole request; 0 if nothing is configured.
func (t StepTimeouts) Sum() time.Duration { return t.Connect + t.Send + t.Read }

// StaticNode is a node that needs no registry.
type StaticNode struct {
	Host         string
	Port, Weight int
}

// Cluster is a Kubernetes cluster.
type Cluster struct {
	ID                      string
	Server                  string // URL of the API
	Token, TokenFile        string
	DefaultWeight           int
	LabelSelector           string
	Namespace, NotNamespace string
	Match, NotMatch         []*regexp.Regexp
	EndpointSlices          bool
}

// noDump is why the files into which Consul's nodes can be written are not.
const noDump = "nodes are asked for anew at each start"

func (k *keys) discovery() object {
	d := &k.c.Gateway.Discovery
	return object{
		"dns":        optional(&d.DNS, dnsRegistry),
		"consul":     optional(&d.Consul, consulRegistry),
		"consul_kv":  optional(&d.ConsulKV, consulKVRegistry),
		"eureka":     optional(&d.Eureka, hostRegistry),
		"nacos":      optional(&d.Nacos, hostRegistry),
		"kubernetes": clusters(&d.Kubernetes),
	}.noEffects("Tars is not asked for nodes", "tars")
}

// optional is an object whose presence alone means something.
func optional[T any](to **T, fields func(*T) object) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		*to = new(T)
		fields(*to).decode(d, key, n)
	})
}

func dnsRegistry(r *DNSRegistry) object {
	return object{
		"servers":     list(&r.Servers, text),
		"resolv_conf": text(&r.ResolvConf),
		"order": list(&r.Order, func(to *string) field {
			return oneOf(to, "last", "SRV", "A", "AAAA", "CNAME")
		}),
	}
}

func consulFields(r *ConsulRegistry) object {
	return object{
		"servers":        list(&r.Servers, text),
		"token":          text(&r.Token),
		"weight":         integer(&r.Weight, 1),
		"fetch_interval": duration(&r.FetchInterval),
		"timeout": object{
			"connect": milliseconds(&r.Timeouts.Connect), "read": milliseconds(&r.Timeouts.Read),
			"wait": noEffect("Consul is asked every fetch_interval"),
		},
	}.noEffects(noDump, "dump").
		noEffects("Consul is asked every fetch_interval", "keepalive").
		noEffects("nodes keep Consul's order", "sort_type").
		noEffects("there is no memory to set aside", "shared_size")
}

func consulRegistry(r *ConsulRegistry) object {
	o := consulFields(r)
	o["skip_services"] = list(&r.Skip, text)
	o["default_service"] = optional(&r.Fallback, staticNode)
	return o
}

func consulKVRegistry(r *ConsulRegistry) object {
	o := consulFields(r)
	o["prefix"] = text(&r.Prefix)
	o["skip_keys"] = list(&r.Skip, text)
	o["default_server"] = optional(&r.Fallback, staticNode)
	return o
}

func staticNode(s *StaticNode) object {
	const health = "only health checks take nodes out of use"
	s.Weight = 1
	return object{
		"host": text(&s.Host),
		"port": integer(&s.Port, 1),
		"metadata": object{"weight": integer(&s.Weight, 0)}.
			noEffects(health, "fail_timeout", "max_fails"),
	}
}

func hostRegistry(r *HostRegistry) object {
	return object{
		"host":           list(&r.Hosts, text),
		"prefix":         text(&r.Prefix),
		"weight":         integer(&r.Weight, 1),
		"fetch_interval": duration(&r.FetchInterval),
		"access_key":     text(&r.AccessKey),
		"secret_key":     text(&r.SecretKey),
		"timeout": object{
			"connect": milliseconds(&r.Timeouts.Connect), "send": milliseconds(&r.Timeouts.Send),
			"read": milliseconds(&r.Timeouts.Read),
		},
	}
}

// milliseconds is a duration whose bare number counts milliseconds.
func milliseconds(to *time.Duration) field {
	return scalar(to, "a number of milliseconds, or a duration such as 2s", func(text string) (time.Duration, bool) {
		if n, err := strconv.ParseUint(text, 10, 31); err == nil {
			return time.Duration(n) * time.Millisecond, true
		}
		return parseDuration(text)
	})
}

// clusters takes one cluster or a list of them.
func clusters(to *[]Cluster) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind == yaml.SequenceNode {
			list(to, oneCluster).decode(d, key, n)
			return
		}
		*to = make([]Cluster, 1)
		oneCluster(&(*to)[0]).decode(d, key, n)
	})
}

// serviceAccount is where a pod finds the token of its account.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

func oneCluster(c *Cluster) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		scheme, host, port := "https", "${KUBERNETES_SERVICE_HOST}", "${KUBERNETES_SERVICE_PORT}"
		object{
			"id": text(&c.ID),
			"service": object{
				"schema": oneOf(&scheme, "http", "https"), "host": text(&host), "port": text(&port),
			},
			"client":                object{"token": text(&c.Token), "token_file": text(&c.TokenFile)},
			"default_weight":        integer(&c.DefaultWeight, 0),
			"label_selector":        text(&c.LabelSelector),
			"watch_endpoint_slices": boolean(&c.EndpointSlices),
			"namespace_selector": object{
				"equal": text(&c.Namespace), "not_equal": text(&c.NotNamespace),
				"match": list(&c.Match, pattern), "not_match": list(&c.NotMatch, pattern),
			},
		}.noEffects("there is no memory to set aside", "shared_size").decode(d, key, n)
		if c.Token == "" && c.TokenFile == "" {
			c.TokenFile = serviceAccount
		}
		c.Token, c.TokenFile = d.variables(n, key, c.Token), d.variables(n, key, c.TokenFile)
		u := url.URL{Scheme: scheme, Host: net.JoinHostPort(d.variables(n, key, host), d.variables(n, key, port))}
		c.Server = u.String()
	})
}

func pattern(to **regexp.Regexp) field {
	return scalar(to, "a regular expression", func(text string) (*regexp.Regexp, bool) {
		re, err := regexp.Compile(text)
		return re, err == nil
	})
}

// variable is how APISIX names environment variables for Kubernetes.
var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// variables puts the values of environment variables in their places.
func (d *decoder) variables(n *yaml.Node, key, text string) string {
	return variable.ReplaceAllStringFunc(text, func(match string) string {
		name := variable.FindStringSubmatch(match)[1]
		value, ok := d.env(name)
		if !ok {
			d.fail(n, key, "can't find environment variable %s", name)
		}
		return value
	})
}
