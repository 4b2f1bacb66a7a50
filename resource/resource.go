// Package resource holds the gateway's resources (Route, Upstream …) as APISIX's
// Admin API knows them: their types, JSON Schemas and checks. It does no I/O.
package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Prefix begins the store keys of all gateway resources: /apisix/routes/1.
const Prefix = "/apisix/"

// ID is a resource id: text, or in JSON also an integer.
type ID string

// UnmarshalJSON takes a string or a number.
func (id *ID) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '"' {
		*id = ID(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(id))
}

// Route maps requests to plugins and an upstream. Fields as in spec/gateway.md §4.1.
type Route struct {
	ID              ID                         `json:"id"`
	Name            string                     `json:"name"`
	URI             string                     `json:"uri"`
	URIs            []string                   `json:"uris"`
	Host            string                     `json:"host"`
	Hosts           []string                   `json:"hosts"`
	RemoteAddr      string                     `json:"remote_addr"`
	RemoteAddrs     []string                   `json:"remote_addrs"`
	Methods         []string                   `json:"methods"`
	Priority        int                        `json:"priority"`
	Vars            json.RawMessage            `json:"vars"`
	FilterFunc      string                     `json:"filter_func"`
	Plugins         Plugins                    `json:"plugins"`
	PluginConfigID  ID                         `json:"plugin_config_id"`
	Script          string                     `json:"script"`
	Upstream        *Upstream                  `json:"upstream"`
	UpstreamID      ID                         `json:"upstream_id"`
	ServiceID       ID                         `json:"service_id"`
	Timeout         *Timeout                   `json:"timeout"`
	EnableWebsocket *bool                      `json:"enable_websocket"`
	Status          *int                       `json:"status"` // nil means 1; 0 is never matched
	Labels          map[string]json.RawMessage `json:"labels"`
}

// Plugins maps plugin names to their configurations. An empty JSON array counts
// as an empty object, as in APISIX.
type Plugins map[string]json.RawMessage

// UnmarshalJSON takes an object or an empty array.
func (p *Plugins) UnmarshalJSON(data []byte) error {
	if trimmed := bytes.TrimSpace(data); bytes.Equal(trimmed, []byte("[]")) {
		*p = nil
		return nil
	}
	return json.Unmarshal(data, (*map[string]json.RawMessage)(p))
}

// Timeout bounds the steps of an upstream call, in seconds.
type Timeout struct {
	Connect float64 `json:"connect"`
	Send    float64 `json:"send"`
	Read    float64 `json:"read"`
}

// Upstream is where requests go. Fields as in spec/gateway.md §4.3.
type Upstream struct {
	ID            ID              `json:"id"`
	Name          string          `json:"name"`
	Nodes         Nodes           `json:"nodes"`
	Type          string          `json:"type"` // empty means roundrobin
	HashOn        string          `json:"hash_on"`
	Key           string          `json:"key"`
	Retries       *int            `json:"retries"` // nil means number of nodes − 1
	RetryTimeout  float64         `json:"retry_timeout"`
	Timeout       *Timeout        `json:"timeout"`
	Scheme        string          `json:"scheme"`    // empty means http
	PassHost      string          `json:"pass_host"` // empty means pass
	UpstreamHost  string          `json:"upstream_host"`
	ServiceName   string          `json:"service_name"`
	DiscoveryType string          `json:"discovery_type"`
	DiscoveryArgs json.RawMessage `json:"discovery_args"`
	KeepalivePool *KeepalivePool  `json:"keepalive_pool"`
	TLS           *UpstreamTLS    `json:"tls"`
	Checks        json.RawMessage `json:"checks"`
}

// KeepalivePool bounds the idle connections to an upstream.
type KeepalivePool struct {
	Size        int     `json:"size"`
	IdleTimeout float64 `json:"idle_timeout"` // seconds
	Requests    int     `json:"requests"`
}

// UpstreamTLS is how to speak TLS to an upstream.
type UpstreamTLS struct {
	ClientCert   string `json:"client_cert"`
	ClientKey    string `json:"client_key"`
	ClientCertID ID     `json:"client_cert_id"`
	Verify       bool   `json:"verify"`
}

// Node is one server of an upstream. Port 0 means the scheme's default.
type Node struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Weight   int    `json:"weight"`
	Priority int    `json:"priority"`
}

// Nodes are an upstream's servers. In JSON they are an array of Node or an
// object from "host:port" to weight, whose members are taken in key order.
type Nodes []Node

// UnmarshalJSON takes either form.
func (n *Nodes) UnmarshalJSON(data []byte) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		return json.Unmarshal(data, (*[]Node)(n))
	}
	var weights map[string]int
	if err := json.Unmarshal(data, &weights); err != nil {
		return err
	}
	addrs := make([]string, 0, len(weights))
	for addr := range weights {
		addrs = append(addrs, addr)
	}
	sort.Strings(addrs)
	*n = make(Nodes, 0, len(addrs))
	for _, addr := range addrs {
		host, port, err := SplitAddr(addr)
		if err != nil {
			return err
		}
		*n = append(*n, Node{Host: host, Port: port, Weight: weights[addr]})
	}
	return nil
}

// SplitAddr splits host:port, where the port may be absent and an IPv6 host
// stands in brackets, which are kept.
func SplitAddr(addr string) (host string, port int, err error) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 || strings.HasSuffix(addr, "]") {
		return addr, 0, nil
	}
	port, err = strconv.Atoi(addr[i+1:])
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("invalid port %s", addr[i+1:])
	}
	return addr[:i], port, nil
}
