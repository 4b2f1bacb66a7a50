package plugins

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/batch"
)

// Process is what the plugin instances of a process have in common and what
// outlives them: metrics, and the logs that are on their way. The server makes one
// and lends it to the plugins by appending it to the services of plugin.Env.
type Process struct {
	conf    ProcessConfig
	started time.Time
	host    string
	id      string // a UUID that no other process has
	env     *plugin.Env
	metrics *gatewayMetrics
	logs    *batch.Group
	files   logFiles
}

// ProcessConfig is what a Process is made of; the zero values of its fields are fit
// for tests.
type ProcessConfig struct {
	Log *slog.Logger
	// Version is that of the program.
	Version string
	// ID names the process to others; a random UUID if it is empty.
	ID         string
	Prometheus PrometheusConfig
	// BatchURI is where batch-requests has its endpoint; empty: at its own place.
	BatchURI string
	// EtcdVersion asks the etcd with the gateway's resources; nil if they are elsewhere.
	EtcdVersion func(ctx context.Context) (string, error)
}

// NewProcess makes a process that finds the gateway's services in env when it
// needs them.
func NewProcess(conf ProcessConfig, env *plugin.Env) *Process {
	if conf.Log == nil {
		conf.Log = env.Log
	}
	p := &Process{conf: conf, started: time.Now(), env: env, logs: batch.NewGroup()}
	p.host, _ = os.Hostname()
	if p.id = conf.ID; p.id == "" {
		p.id = NewID()
	}
	p.metrics = newGatewayMetrics(p)
	return p
}

// NewID makes a random UUID.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Lend adds services that were made after the process, such as the gateway. It is
// not for use while requests are served.
func (p *Process) Lend(services ...any) {
	env := *p.env
	env.Services = append(slices.Clip(env.Services), services...)
	p.env = &env
}

// lastLogs is how long the logs that wait may take at the end.
const lastLogs = 5 * time.Second

// Close sends the logs that wait, as far as ctx and lastLogs give them time; a server
// of logs that is away does not hold up the end. What is logged later is lost.
func (p *Process) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastLogs)
	defer cancel()
	if err := p.logs.Close(ctx); err != nil {
		p.conf.Log.Warn("sending the last logs; some are lost", "err", err)
	}
	return nil
}

// processOf finds the process that env belongs to. Instances outside of one, in
// tests, get one of their own.
func processOf(env *plugin.Env) *Process {
	if p, ok := plugin.Service[*Process](env); ok {
		return p
	}
	return NewProcess(ProcessConfig{}, env)
}
