package resource

import (
	"encoding/json"

	"millrace/internal/jsonschema"
	"millrace/internal/jsonvalue"
)

// Checks are the health checks of an upstream's nodes. Reading them fills in the
// schema's defaults, those of Healthy and Unhealthy too if they are left out.
type Checks struct {
	Active ActiveCheck `json:"active"`
	// Passive is nil if there are no passive checks.
	Passive *PassiveCheck `json:"passive"`
}

// ActiveCheck is how nodes are probed.
type ActiveCheck struct {
	Type        string  `json:"type"`        // http, https or tcp
	Timeout     float64 `json:"timeout"`     // seconds
	Concurrency int     `json:"concurrency"` // probes at once
	// Host and Port are the node's own if empty and 0.
	Host                   string          `json:"host"`
	Port                   int             `json:"port"`
	HTTPMethod             string          `json:"http_method"`
	HTTPPath               string          `json:"http_path"`
	HTTPReqBody            string          `json:"http_req_body"`
	ReqHeaders             []string        `json:"req_headers"` // "Name: value"
	HTTPSVerifyCertificate bool            `json:"https_verify_certificate"`
	Healthy                ActiveHealthy   `json:"healthy"`
	Unhealthy              ActiveUnhealthy `json:"unhealthy"`
}

// ActiveHealthy says when an unhealthy node becomes healthy.
type ActiveHealthy struct {
	Interval     int   `json:"interval"` // seconds between probes of healthy nodes
	HTTPStatuses []int `json:"http_statuses"`
	Successes    int   `json:"successes"`
}

// ActiveUnhealthy says when a healthy node becomes unhealthy.
type ActiveUnhealthy struct {
	Interval     int   `json:"interval"` // seconds between probes of unhealthy nodes
	HTTPStatuses []int `json:"http_statuses"`
	HTTPFailures int   `json:"http_failures"`
	TCPFailures  int   `json:"tcp_failures"`
	Timeouts     int   `json:"timeouts"`
}

// PassiveCheck is what is learnt from the requests of clients.
type PassiveCheck struct {
	Type      string           `json:"type"`
	Healthy   PassiveHealthy   `json:"healthy"`
	Unhealthy PassiveUnhealthy `json:"unhealthy"`
}

// PassiveHealthy is a threshold that is off if it is 0.
type PassiveHealthy struct {
	HTTPStatuses []int `json:"http_statuses"`
	Successes    int   `json:"successes"`
}

// PassiveUnhealthy are thresholds each of which is off if it is 0.
type PassiveUnhealthy struct {
	HTTPStatuses []int `json:"http_statuses"`
	HTTPFailures int   `json:"http_failures"`
	TCPFailures  int   `json:"tcp_failures"`
	Timeouts     int   `json:"timeouts"`
}

var checksDefaults = jsonschema.Deferred(checksSchema)

// UnmarshalJSON reads checks and fills in defaults.
func (c *Checks) UnmarshalJSON(data []byte) error {
	v, err := jsonvalue.Decode(data)
	if err != nil {
		return err
	}
	object, _ := v.(map[string]any)
	for _, mode := range []string{"active", "passive"} {
		conf, ok := object[mode].(map[string]any)
		if !ok {
			continue
		}
		for _, state := range []string{"healthy", "unhealthy"} {
			if conf[state] == nil {
				conf[state] = map[string]any{}
			}
		}
	}
	checksDefaults().SetDefaults(v)
	type plain Checks
	return jsonvalue.Into(v, (*plain)(c))
}

var _ json.Unmarshaler = (*Checks)(nil)

// Checker is the state of the health checks of one upstream, as the gateway tells
// it to the Control API.
type Checker struct {
	Name  string        `json:"name"` // the store key of the route, service, upstream or stream route
	Type  string        `json:"type"` // of its active checks
	Nodes []CheckedNode `json:"nodes"`
}

// CheckedNode is one node and how it does. Status is healthy, mostly_healthy,
// mostly_unhealthy or unhealthy.
type CheckedNode struct {
	IP       string       `json:"ip"`
	Port     int          `json:"port"`
	Hostname string       `json:"hostname"`
	Status   string       `json:"status"`
	Counter  CheckCounter `json:"counter"`
}

// CheckCounter counts what has been seen of a node since its status last changed.
type CheckCounter struct {
	Success        int `json:"success"`
	HTTPFailure    int `json:"http_failure"`
	TCPFailure     int `json:"tcp_failure"`
	TimeoutFailure int `json:"timeout_failure"`
}
