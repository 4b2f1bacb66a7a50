package plugins

import (
	"encoding/json"
	"net/http"

	"millrace/plugin"
)

func init() { plugin.Register[serverInfo]("server-info", 990, `{"type":"object"}`) }

// serverInfo has the endpoint of the Control API that tells which process it is.
type serverInfo struct{ endpointOnly }

// ServerInfo answers GET /v1/server_info of the Control API.
func (p *Process) ServerInfo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(serverInfoAnswer{ // the client may go
			EtcdVersion: "unknown", Version: p.conf.Version, Hostname: p.host, BootTime: p.started.Unix(), ID: p.id,
		})
	})
}

type serverInfoAnswer struct {
	EtcdVersion string `json:"etcd_version"`
	Version     string `json:"version"`
	Hostname    string `json:"hostname"`
	BootTime    int64  `json:"boot_time"`
	ID          string `json:"id"`
}
