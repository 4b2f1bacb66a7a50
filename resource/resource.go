// Package resource holds the gateway's resources (Route, Upstream, Consumer …) as
// APISIX's Admin API knows them: their types, JSON Schemas and checks. It does no
// I/O.
//
// Store keys, as in APISIX's etcd:
//
//	/apisix/<folder>/<id>                           folder as in Kind.Folder
//	/apisix/consumers/<username>
//	/apisix/consumers/<username>/credentials/<id>   see SplitKey
//	/apisix/plugin_metadata/<plugin>
//	/apisix/secrets/<manager>/<id>
//
// Values are JSON objects with the id, create_time and update_time in them and
// secret fields encrypted; Parse reads them.
package resource

import (
	"bytes"
	"encoding/json"
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

// Service is what several routes have in common. Fields as in spec/gateway.md §4.2.
type Service struct {
	ID              ID        `json:"id"`
	Name            string    `json:"name"`
	Hosts           []string  `json:"hosts"`
	Plugins         Plugins   `json:"plugins"`
	Upstream        *Upstream `json:"upstream"`
	UpstreamID      ID        `json:"upstream_id"`
	Script          string    `json:"script"`
	EnableWebsocket *bool     `json:"enable_websocket"`
}

// PluginConfig is plugins that several routes have in common.
type PluginConfig struct {
	ID      ID      `json:"id"`
	Name    string  `json:"name"`
	Plugins Plugins `json:"plugins"`
}

// GlobalRule is plugins that run for every request.
type GlobalRule struct {
	ID      ID      `json:"id"`
	Plugins Plugins `json:"plugins"`
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
