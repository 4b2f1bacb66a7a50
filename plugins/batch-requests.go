package plugins

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"millrace/internal/cjson"
	"millrace/internal/jsonschema"
	"millrace/internal/jsonvalue"
	"millrace/plugin"
)

const batchRequestsMetadataSchema = `{"type":"object","properties":{
	"max_body_size":{"type":"integer","exclusiveMinimum":0,"default":1048576,"description":"max pipeline body size in bytes"},
	"max_pipeline_items":{"type":"integer","minimum":1,"default":1000}}}`

// pipelines is the schema of the endpoint's request.
var pipelines = jsonschema.Deferred(`{"type":"object","anyOf":[{"required":["pipeline"]}],"properties":{
	"query":{"type":"object","description":"pipeline query string"},
	"headers":{"type":"object","description":"pipeline header"},
	"timeout":{"type":"integer","minimum":1,"default":30000,"description":"pipeline timeout(ms)"},
	"pipeline":{"type":"array","minItems":1,"items":{"type":"object","required":["path"],"properties":{
		"version":{"type":"number","enum":[1.0,1.1],"default":1.1},
		"method":{"type":"string","enum":["GET","POST","PUT","DELETE","PATCH","HEAD","OPTIONS","CONNECT","TRACE"],"default":"GET"},
		"path":{"type":"string","minLength":1},
		"query":{"type":"object"},"headers":{"type":"object"},
		"ssl_verify":{"type":"boolean","default":false},
		"body":{"type":"string"}}}}}}`)

const (
	batchRequestsURI = "/apisix/batch-requests"
	// maxBatchAnswer bounds the bodies of all answers together, in bytes.
	maxBatchAnswer = 64 << 20
	// defaultBatchTimeout is for one request of a batch.
	defaultBatchTimeout = 30 * time.Second
)

func init() {
	plugin.Register[batchRequests]("batch-requests", 4010, `{"type":"object"}`,
		plugin.AsMetadata[batchRequestsMetadata](batchRequestsMetadataSchema))
	plugin.RegisterPublicAPI(plugin.PublicAPI{
		Plugin: "batch-requests", URI: batchRequestsURI, Methods: []string{"POST"}, Serve: serveBatch,
	})
}

// batchRequests has the endpoint that sends several requests through the gateway
// and answers with all their answers.
type batchRequests struct{ endpointOnly }

type batchRequestsMetadata struct {
	MaxBodySize      int64 `json:"max_body_size"`
	MaxPipelineItems int   `json:"max_pipeline_items"`
}

// pipeline is the endpoint's request.
type pipeline struct {
	Query     map[string]json.RawMessage `json:"query"`
	Headers   map[string]json.RawMessage `json:"headers"`
	TimeoutMS int                        `json:"timeout"`
	Items     []pipelineItem             `json:"pipeline"`

	clientHeader string // see ClientHeader
}

// ClientHeader is a service of the gateway: the name of the header in which it lets
// trusted peers say for which client they speak.
type ClientHeader interface{ RealIPHeader() string }

// pipelineItem is one request.
type pipelineItem struct {
	Method  string                     `json:"method"`
	Path    string                     `json:"path"`
	Query   map[string]json.RawMessage `json:"query"`
	Headers map[string]json.RawMessage `json:"headers"`
	Body    string                     `json:"body"`
}

// pipelineAnswer is the answer to one.
type pipelineAnswer struct {
	Status  int            `json:"status"`
	Reason  string         `json:"reason"`
	Headers map[string]any `json:"headers,omitempty"`
	Body    string         `json:"body,omitempty"`
}

func serveBatch(env *plugin.Env, c *plugin.Context) error {
	meta := plugin.MetadataOf[batchRequestsMetadata](c, "batch-requests")
	body, err := c.Request.Body(meta.MaxBodySize)
	switch {
	case errors.Is(err, plugin.ErrBodyTooLarge):
		return exitJSON(c, 413, errorMessage{fmt.Sprintf(msgBatchTooLong, sizeOf(c, meta.MaxBodySize), meta.MaxBodySize)})
	case err != nil:
		return c.Exit(400, nil)
	}
	p, err := parsePipeline(body, meta.MaxPipelineItems)
	if err != nil {
		return exitJSON(c, 400, errorMessage{err.Error()})
	}
	p.clientHeader = "X-Real-IP"
	if g, ok := plugin.Service[ClientHeader](env); ok {
		p.clientHeader = g.RealIPHeader()
	}
	answers, err := p.run(c)
	if err != nil {
		return err
	}
	return exitJSON(c, 200, answers)
}

// sizeOf is how long a body over limit is, as far as it is known.
func sizeOf(c *plugin.Context, limit int64) int64 {
	if n, err := strconv.ParseInt(string(c.Request.Header("Content-Length")), 10, 64); err == nil {
		return n
	}
	return limit + 1
}

// parsePipeline reads and checks the endpoint's request. The error's text is for
// the client.
func parsePipeline(body []byte, maxItems int) (*pipeline, error) {
	if len(body) == 0 {
		return nil, errors.New(msgBatchEmpty)
	}
	text, err := cjson.Normalize(body)
	if err != nil {
		return nil, fmt.Errorf(msgBatchNoJSON, body, err)
	}
	value, err := jsonvalue.Decode(text)
	if err != nil {
		return nil, fmt.Errorf(msgBatchNoJSON, body, err)
	}
	if err := pipelines().Validate(value); err != nil {
		return nil, fmt.Errorf(msgBatchBad, err)
	}
	p := &pipeline{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf(msgBatchBad, err)
	}
	if n := len(p.Items); n > maxItems {
		return nil, fmt.Errorf(msgBatchTooMany, n, maxItems)
	}
	return p, nil
}

// run sends the requests one after the other over one connection to the listener
// that this request came to.
func (p *pipeline) run(c *plugin.Context) ([]pipelineAnswer, error) {
	transport := &http.Transport{
		DisableCompression: true, MaxConnsPerHost: 1,
		// The gateway calls itself, whatever name its certificate has.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: c.Var("host").Text},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport, Timeout: time.Duration(p.TimeoutMS) * time.Millisecond,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if p.TimeoutMS == 0 {
		client.Timeout = defaultBatchTimeout
	}
	answers, room := make([]pipelineAnswer, 0, len(p.Items)), int64(maxBatchAnswer)
	for i := range p.Items {
		a, err := p.send(c, client, &p.Items[i], room)
		if c.Request.Context().Err() != nil {
			return nil, plugin.ErrDrop
		}
		if err != nil {
			a = failedAnswer(err)
		}
		room -= int64(len(a.Body))
		answers = append(answers, a)
	}
	return answers, nil
}

// errForbiddenPath: the item asks for what is for clients on this machine.
var errForbiddenPath = errors.New("not for batches")

func failedAnswer(err error) pipelineAnswer {
	var timeout net.Error
	switch {
	case errors.Is(err, errForbiddenPath):
		return pipelineAnswer{Status: 404, Reason: "Not Found"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return pipelineAnswer{Status: 504, Reason: "upstream timeout"}
	}
	return pipelineAnswer{Status: 502, Reason: "Bad Gateway"}
}

// send sends one request and reads its answer, of whose body there is room for so
// many bytes.
func (p *pipeline) send(c *plugin.Context, client *http.Client, item *pipelineItem, room int64) (a pipelineAnswer, err error) {
	req, err := p.request(c.Request.Context(), c, item)
	if err != nil {
		return a, err
	}
	res, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, room+1))
	if err != nil {
		return a, err
	}
	if int64(len(body)) > room {
		return a, errTooLong
	}
	_, reason, _ := strings.Cut(res.Status, " ")
	a = pipelineAnswer{Status: res.StatusCode, Reason: reason, Headers: make(map[string]any, len(res.Header)), Body: string(body)}
	for name, values := range res.Header {
		if len(values) == 1 {
			a.Headers[name] = values[0]
		} else {
			a.Headers[name] = values
		}
	}
	return a, nil
}

func (p *pipeline) request(ctx context.Context, c *plugin.Context, item *pipelineItem) (*http.Request, error) {
	if forbidden(item.Path) {
		return nil, errForbiddenPath
	}
	method := item.Method
	if method == "" {
		method = http.MethodGet
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Conn.ServerPort))
	req, err := http.NewRequestWithContext(ctx, method, c.Conn.Scheme+"://"+address, strings.NewReader(item.Body))
	if err != nil {
		return nil, err
	}
	// An opaque URL is sent as it is.
	req.URL.Opaque = joinQuery(item.Path, encodeArgs(item.Query, p.Query))
	req.Host = c.Request.Host()
	c.Request.Headers(func(name, value []byte) bool {
		if n := strings.ToLower(string(name)); !strings.HasPrefix(n, "content-") {
			req.Header.Add(n, string(value))
		}
		return true
	})
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "") // or the client would name itself
	}
	setJSONHeaders(req, p.Headers)
	setJSONHeaders(req, item.Headers)
	for _, name := range []string{"Host", "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Expect", "Te", "Trailer", "Upgrade", "Proxy-Connection"} {
		req.Header.Del(name)
	}
	// The client of these requests is that of the batch, not this process.
	req.Header.Set(p.clientHeader, c.Conn.RemoteAddr)
	return req, nil
}

// forbidden tells whether a path leads to the Admin API, which answers on the data
// plane's port too, but only clients on this machine: as whom a batch would come.
func forbidden(target string) bool {
	p, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(p, "/") {
		return true
	}
	decoded, err := url.PathUnescape(p)
	if err != nil {
		return true
	}
	segments := strings.Split(decoded, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	clean := strings.ToLower(path.Clean(strings.Join(segments, "/")))
	return clean == "/apisix/admin" || strings.HasPrefix(clean, "/apisix/admin/")
}

// setJSONHeaders sets headers from JSON: each value replaces what there is.
func setJSONHeaders(req *http.Request, values map[string]json.RawMessage) {
	for name, raw := range values {
		value := gjson.ParseBytes(raw)
		if strings.EqualFold(name, "Host") {
			req.Host = value.String()
			continue
		}
		req.Header.Del(name)
		for _, v := range value.Array() {
			req.Header.Add(name, v.String())
		}
	}
}

// encodeArgs makes a query of arguments; those of common are for names that own
// has not.
func encodeArgs(own, common map[string]json.RawMessage) string {
	all := url.Values{}
	for _, args := range []map[string]json.RawMessage{own, common} {
		for name, raw := range args {
			if all.Has(name) {
				continue
			}
			for _, v := range gjson.ParseBytes(raw).Array() {
				all.Add(name, v.String())
			}
		}
	}
	return all.Encode()
}
