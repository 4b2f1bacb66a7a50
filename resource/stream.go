package resource

import "encoding/json"

// StreamRoute maps connections (TCP, TLS, UDP) to plugins and an upstream. What
// is set must match; what is not matches everything.
type StreamRoute struct {
	ID         ID        `json:"id"`
	Name       string    `json:"name"`
	RemoteAddr string    `json:"remote_addr"`
	ServerAddr string    `json:"server_addr"`
	ServerPort int       `json:"server_port"`
	SNI        string    `json:"sni"`
	Upstream   *Upstream `json:"upstream"`
	UpstreamID ID        `json:"upstream_id"`
	ServiceID  ID        `json:"service_id"`
	Plugins    Plugins   `json:"plugins"`
	Protocol   *Protocol `json:"protocol"`
}

// Protocol is what is spoken on a stream route's connections.
type Protocol struct {
	Name       string           `json:"name"`
	SuperiorID ID               `json:"superior_id"`
	Conf       json.RawMessage  `json:"conf"`
	Logger     []ProtocolLogger `json:"logger"`
	Metric     *ProtocolMetric  `json:"metric"`
}

// ProtocolMetric says whether calls are counted.
type ProtocolMetric struct {
	Enable bool `json:"enable"`
}

// ProtocolLogger logs the calls of a protocol that Filter, an expression, lets
// through.
type ProtocolLogger struct {
	Name   string          `json:"name"`
	Filter json.RawMessage `json:"filter"`
	Conf   json.RawMessage `json:"conf"`
}
