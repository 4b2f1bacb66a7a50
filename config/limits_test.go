package config

import "testing"

func TestClientLimits(t *testing.T) {
	c := mustParse(t, "nginx_config: {http: {large_client_header_buffers: 8 16k, keepalive_requests: 5}, event: {worker_connections: 7}}", nil)
	if want := (ClientLimits{Requests: 5, Connections: 7, HeaderLine: 16 << 10, Header: 128 << 10}); c.Gateway.ClientLimits != want {
		t.Errorf("%+v, want %+v", c.Gateway.ClientLimits, want)
	}
	for _, bad := range []string{"4", "4 0", "0 8k", "4 8x", "8k", "4 8k 1", "4 100", "4 1g", "99999 8k", "-1 8k"} {
		if _, err := parse("config.yaml", []byte("nginx_config: {http: {large_client_header_buffers: "+bad+"}}"), noEnv); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
