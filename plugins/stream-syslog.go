package plugins

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"millrace/internal/calmlog"
	"millrace/plugin"
	"millrace/plugins/internal/batch"
	"millrace/plugins/internal/logformat"
)

const streamSyslogSchema = `{"type":"object","properties":{
		"host":{"type":"string"},
		"port":{"type":"integer"},
		"flush_limit":{"type":"integer","minimum":1,"default":4096},
		"drop_limit":{"type":"integer","default":1048576},
		"timeout":{"type":"integer","minimum":1,"default":3000},
		"sock_type":{"type":"string","default":"tcp","enum":["tcp","udp"]},
		"pool_size":{"type":"integer","minimum":5,"default":5},
		"tls":{"type":"boolean","default":false},
		"log_format":{"type":"object"},"log_format_extra":{"type":"object"},
		` + batch.Schema + `},
	"required":["host","port"]}`

func init() {
	plugin.RegisterStream[streamSyslog]("syslog", 401, streamSyslogSchema, plugin.AsMetadata[batchMetadata](batchMetadataSchema))
}

// streamSyslog sends a line for each connection to a server of logs.
type streamSyslog struct {
	Host      string `json:"host"`
	Port      int    `json:"port"`
	TimeoutMS int    `json:"timeout"`
	SockType  string `json:"sock_type"`
	TLS       bool   `json:"tls"`
	batchConf
	logformat.Conf

	process *Process
	log     *slog.Logger
	queue   *batch.Queue
}

var (
	_ plugin.Checker      = (*streamSyslog)(nil)
	_ plugin.Initer       = (*streamSyslog)(nil)
	_ plugin.StreamLogger = (*streamSyslog)(nil)
	_ plugin.Closer       = (*streamSyslog)(nil)
)

// Check compiles the form of entries.
func (p *streamSyslog) Check() error { return p.Conf.Check() }

// Init makes the queue.
func (p *streamSyslog) Init(env *plugin.Env) error {
	p.process = processOf(env)
	p.log = calmlog.New(env.Log.With("plugin", "syslog", "host", p.Host), "")
	p.queue = p.process.logs.New(p.batchConf, "stream sys logger", p.log, p.send)
	return nil
}

// Close has the waiting entries sent.
func (p *streamSyslog) Close() { p.queue.Close() }

// LogStream enters the entry. A connection has none without a form.
func (p *streamSyslog) LogStream(c *plugin.Context) {
	meta := plugin.MetadataOf[batchMetadata](c, "syslog")
	if !p.Given(&meta.Metadata) {
		p.log.Error(msgNoLogFormat, "route", c.Matched.RouteID)
		return
	}
	server := logformat.Server{Hostname: p.process.host, Version: p.process.conf.Version}
	line := p.Append(appendSyslogHead(nil, time.Now(), p.process.host), c, &meta.Metadata, server, logformat.Bodies{})
	if !p.queue.Push(append(line, '\n'), meta.MaxPendingEntries, c.Matched.RouteID, c.Conn.ServerAddr) {
		p.log.Warn("max pending entries limit exceeded, discarding entry", "route", c.Matched.RouteID)
	}
}

// appendSyslogHead begins a line as RFC 5424 has it: facility syslog, severity info.
func appendSyslogHead(dst []byte, now time.Time, host string) []byte {
	const priority = 5*8 + 6
	dst = fmt.Appendf(dst, "<%d>1 ", priority)
	dst = now.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	if host == "" {
		host = "-"
	}
	return fmt.Appendf(dst, " %s apisix %d - - ", host, os.Getpid())
}

// send sends lines over one connection, or each in a datagram of its own.
func (p *streamSyslog) send(ctx context.Context, lines [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.TimeoutMS)*time.Millisecond)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if _, err := conn.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (p *streamSyslog) dial(ctx context.Context) (net.Conn, error) {
	addr := net.JoinHostPort(p.Host, strconv.Itoa(p.Port))
	if !p.TLS || p.SockType == "udp" {
		return new(net.Dialer).DialContext(ctx, p.SockType, addr)
	}
	// APISIX does not verify the certificates of servers of logs.
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	return d.DialContext(ctx, p.SockType, addr)
}
