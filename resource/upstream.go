package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

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
	Checks        *Checks         `json:"checks"`
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
