package plugins

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"millrace/plugin"
)

func init() { plugin.Register[serverInfo]("server-info", 990, `{"type":"object"}`) }

// serverInfo has the endpoint of the Control API that tells which process it is.
type serverInfo struct{ endpointOnly }

// serverInfoPrefix is where processes that share a store tell of themselves.
const serverInfoPrefix = "/apisix/data_plane/server_info/"

// ServerInfo answers GET /v1/server_info of the Control API.
func (p *Process) ServerInfo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.serverInfo(r.Context())) // the client may go
	})
}

// ReportServerInfo tells others of this process until ctx ends: put writes a value that
// goes by itself when it has not been written again for ttl.
func (p *Process) ReportServerInfo(ctx context.Context, ttl time.Duration, put func(ctx context.Context, key string, value []byte) error) error {
	again := time.NewTicker(ttl / 3)
	defer again.Stop()
	for {
		value, err := json.Marshal(p.serverInfo(ctx))
		if err == nil {
			err = put(ctx, serverInfoPrefix+p.id, value)
		}
		if err != nil && ctx.Err() == nil {
			p.conf.Log.Warn("telling the store of this process", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

type serverInfoAnswer struct {
	EtcdVersion string `json:"etcd_version"`
	Version     string `json:"version"`
	Hostname    string `json:"hostname"`
	BootTime    int64  `json:"boot_time"`
	ID          string `json:"id"`
}

func (p *Process) serverInfo(ctx context.Context) serverInfoAnswer {
	a := serverInfoAnswer{EtcdVersion: "unknown", Version: p.conf.Version, Hostname: p.host, BootTime: p.started.Unix(), ID: p.id}
	if p.conf.EtcdVersion != nil {
		if v, err := p.conf.EtcdVersion(ctx); err == nil {
			a.EtcdVersion = v
		}
	}
	return a
}
