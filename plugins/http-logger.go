package plugins

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"millrace/internal/calmlog"
	"millrace/plugin"
	"millrace/plugins/internal/batch"
	"millrace/plugins/internal/logformat"
)

const (
	httpLoggerSchema = `{"type":"object","properties":{
		"uri":{"type":"string","pattern":"^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?"},
		"auth_header":{"type":"string"},
		"timeout":{"type":"integer","minimum":1,"default":3},
		"concat_method":{"type":"string","enum":["json","new_line"],"default":"json"},
		"ssl_verify":{"type":"boolean","default":false},
		` + batch.Schema + `,` + logformat.Schema + `},
	"encrypt_fields":["auth_header"],
	"required":["uri"]}`
	batchMetadataSchema = `{"type":"object","properties":{` + logformat.MetadataSchema + `,` + batch.MetadataSchema + `}}`
)

func init() {
	plugin.Register[httpLogger]("http-logger", 410, httpLoggerSchema, plugin.AsMetadata[batchMetadata](batchMetadataSchema))
}

// batchMetadata is the metadata of batching loggers.
type batchMetadata struct {
	MaxPendingEntries int `json:"max_pending_entries"`
	logformat.Metadata
}

// httpLogger posts entries to a server.
type httpLogger struct {
	URI          string `json:"uri"`
	AuthHeader   string `json:"auth_header"`
	TimeoutS     int    `json:"timeout"`
	ConcatMethod string `json:"concat_method"`
	SSLVerify    bool   `json:"ssl_verify"`
	batchConf
	entryMaker

	log    *slog.Logger
	client *http.Client
	queue  *batch.Queue
}

// batchConf is the batching part of a logger's configuration.
type batchConf = batch.Conf

var (
	_ plugin.Checker     = (*httpLogger)(nil)
	_ plugin.Initer      = (*httpLogger)(nil)
	_ plugin.Accesser    = (*httpLogger)(nil)
	_ plugin.BodyWatcher = (*httpLogger)(nil)
	_ plugin.BodyChooser = (*httpLogger)(nil)
	_ plugin.Logger      = (*httpLogger)(nil)
	_ plugin.Closer      = (*httpLogger)(nil)
)

// Check compiles the configuration.
func (p *httpLogger) Check() error { return p.entryMaker.Check() }

// Init makes the queue and the client.
func (p *httpLogger) Init(env *plugin.Env) error {
	p.process = processOf(env)
	p.log = calmlog.New(env.Log.With("plugin", "http-logger", "server", p.server()), "")
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: !p.SSLVerify},
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     time.Minute,
	}
	if trust, ok := plugin.Service[TrustStore](env); ok {
		transport.TLSClientConfig.RootCAs = trust.RootCAs()
	}
	p.client = &http.Client{
		Transport: transport, Timeout: time.Duration(p.TimeoutS) * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	p.queue = p.process.logs.New(p.batchConf, "http-logger", p.log, p.post)
	return nil
}

// server is the host that entries go to, for the log: the rest of a URI often lets
// those write who know it.
func (p *httpLogger) server() string {
	u, err := url.Parse(p.URI)
	if err != nil {
		return ""
	}
	return u.Host
}

var errBadURI = errors.New("the uri is not a URL") // whose own error would show it

// Close has the waiting entries sent.
func (p *httpLogger) Close() { p.queue.Close() }

// Log enters the entry.
func (p *httpLogger) Log(c *plugin.Context) {
	meta := plugin.MetadataOf[batchMetadata](c, "http-logger")
	if !p.queue.Push(p.entry(c, &meta.Metadata), meta.MaxPendingEntries, c.Matched.RouteID, c.Conn.ServerAddr) {
		p.log.Warn("max pending entries limit exceeded, discarding entry", "route", c.Matched.RouteID)
	}
}

// post sends one request with all entries.
func (p *httpLogger) post(ctx context.Context, entries [][]byte) error {
	body, kind := joinEntries(entries, p.ConcatMethod == "new_line", p.BatchMaxSize == 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URI, bytes.NewReader(body))
	if err != nil {
		return errBadURI
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "millrace")
	if p.AuthHeader != "" {
		req.Header.Set("Authorization", p.AuthHeader)
	}
	res, err := p.client.Do(req)
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err // without the URI
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 1024)) // what cannot be read is not shown
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)           // so that the connection can be used again
	if res.StatusCode >= 400 {
		return fmt.Errorf("server returned status code[%d] body[%s]", res.StatusCode, answer)
	}
	return nil
}

// joinEntries makes the body of a batch and says of what type it is: one line for
// each entry, or an array. With a batch size of one the entry stands alone.
func joinEntries(entries [][]byte, lines, alone bool) (body []byte, kind string) {
	switch {
	case lines:
		return bytes.Join(entries, []byte("\n")), "text/plain"
	case alone && len(entries) == 1:
		return entries[0], "application/json"
	}
	body = append(body, '[')
	body = append(body, bytes.Join(entries, []byte(","))...)
	return append(body, ']'), "application/json"
}
