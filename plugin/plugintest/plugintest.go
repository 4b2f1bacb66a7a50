// Package plugintest runs plugins on requests in tests: a small gateway without
// routes and upstreams, over net/http's types.
package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"testing"

	"millrace/plugin"
)

// Env makes an environment that lends services and logs to the test.
func Env(t testing.TB, services ...any) *plugin.Env {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return &plugin.Env{Log: log, Services: services}
}

// Compile makes the chain of configurations given as one JSON object, as the
// "plugins" of a route. It is closed when the test ends.
func Compile(t testing.TB, env *plugin.Env, confs string) *plugin.Chain {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(confs), &m); err != nil {
		t.Fatal(err)
	}
	chain, err := plugin.Compile(m, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chain.Close)
	return chain
}

// Result is what became of a request.
type Result struct {
	// Status is 0 if no plugin answered the request, and if it was dropped or a
	// plugin failed: then Err says so.
	Status int
	Header http.Header
	Body   []byte
	// Page: the gateway would send its error page of Status; Body is empty.
	Page bool
	Err  error
	// Sent is the request as the plugins left it.
	Sent *Request
}

// Run passes r through the phases of chain, all of them up to an answer and the
// filters and loggers in any case.
func Run(chain *plugin.Chain, r *http.Request) Result {
	return RunContext(chain, NewContext(r))
}

// RunContext does what Run does for a context that NewContext made.
func RunContext(chain *plugin.Chain, c *plugin.Context) Result {
	res := Result{Sent: c.Request.(*Request)}
	for _, phase := range []func(*plugin.Context) error{chain.Rewrite, chain.Access, chain.BeforeProxy} {
		if res.Err = phase(c); res.Err != nil {
			break
		}
	}
	response := c.Response.(*Response)
	if errors.Is(res.Err, plugin.ErrExit) {
		res.Err = nil
		status, body, _ := c.Exited()
		response.SetStatus(status)
		res.Body, res.Page = render(status, body)
	}
	chain.FilterHeader(c)
	plan := &plugin.BodyPlan{}
	if chain.PlanBody(c, plan); !plan.Empty() {
		res.Body = plan.Run(c, res.Body, true)
	}
	chain.Log(c)
	res.Status, res.Header = response.status, response.header
	return res
}

// render follows the rules of plugin.Context.Exit.
func render(status int, body any) (text []byte, page bool) {
	switch b := body.(type) {
	case nil:
		return nil, status >= 300
	case []byte:
		return b, false
	case string:
		return []byte(b), false
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic(err) // a plugin answered with what is no JSON
	}
	return out.Bytes(), false
}

// NewContext makes the context of a request as a front end would.
func NewContext(r *http.Request) *plugin.Context {
	return &plugin.Context{
		Request:  &Request{r: r, target: r.URL.RequestURI()},
		Response: &Response{header: http.Header{}},
		Conn: plugin.Conn{
			RemoteAddr: "127.0.0.1", RemotePort: 40000, ServerAddr: "127.0.0.1", ServerPort: 9080,
			Scheme: "http", Proto: r.Proto,
		},
	}
}

// Request implements plugin.Request over an http.Request.
type Request struct {
	r      *http.Request
	target string
	body   []byte
	read   bool
}

var _ plugin.Request = (*Request)(nil)

// Method and the following are those of plugin.Request.
func (r *Request) Method() string { return r.r.Method }

// Target is the request target as received.
func (r *Request) Target() string { return r.target }

// Path is decoded and normalised.
func (r *Request) Path() string {
	clean := path.Clean(r.r.URL.Path)
	if p := r.r.URL.Path; clean != "/" && p[len(p)-1] == '/' {
		clean += "/"
	}
	return clean
}

// Query is the raw query.
func (r *Request) Query() string { return r.r.URL.RawQuery }

// SetQuery replaces the query.
func (r *Request) SetQuery(query string) {
	r.r.URL.RawQuery, r.r.URL.ForceQuery = query, false
	r.target = r.r.URL.RequestURI()
}

// SetPath replaces the path, and with it the target's.
func (r *Request) SetPath(path string) {
	r.r.URL.Path, r.r.URL.RawPath = path, ""
	r.target = r.r.URL.RequestURI()
}

// Host is the Host header.
func (r *Request) Host() string { return r.r.Host }

// Header answers the first value.
func (r *Request) Header(name string) []byte { return first(r.r.Header, name) }

// Headers calls fn for each.
func (r *Request) Headers(fn func(name, value []byte) bool) { each(r.r.Header, fn) }

// SetHeader replaces all values.
func (r *Request) SetHeader(name, value string) { r.r.Header.Set(name, value) }

// AddHeader adds a value.
func (r *Request) AddHeader(name, value string) { r.r.Header.Add(name, value) }

// DelHeader removes all values.
func (r *Request) DelHeader(name string) { r.r.Header.Del(name) }

// Body reads the whole body.
func (r *Request) Body(limit int64) ([]byte, error) {
	if !r.read && r.r.Body != nil {
		body, err := io.ReadAll(r.r.Body)
		if err != nil {
			return nil, err
		}
		r.body = body
	}
	r.read = true
	if limit >= 0 && int64(len(r.body)) > limit {
		return nil, plugin.ErrBodyTooLarge
	}
	return r.body, nil
}

// SetBody replaces the body.
func (r *Request) SetBody(body []byte) { r.body, r.read = body, true }

// Context is the request's.
func (r *Request) Context() context.Context { return r.r.Context() }

// Response implements plugin.Response.
type Response struct {
	status int
	header http.Header
}

var _ plugin.Response = (*Response)(nil)

// Status and the following are those of plugin.Response.
func (r *Response) Status() int { return r.status }

// SetStatus replaces the status.
func (r *Response) SetStatus(status int) { r.status = status }

// Header answers the first value.
func (r *Response) Header(name string) []byte { return first(r.header, name) }

// Headers calls fn for each.
func (r *Response) Headers(fn func(name, value []byte) bool) { each(r.header, fn) }

// SetHeader replaces all values.
func (r *Response) SetHeader(name, value string) { r.header.Set(name, value) }

// AddHeader adds a value.
func (r *Response) AddHeader(name, value string) { r.header.Add(name, value) }

// DelHeader removes all values.
func (r *Response) DelHeader(name string) { r.header.Del(name) }

func first(h http.Header, name string) []byte {
	if values := h.Values(name); len(values) > 0 {
		return []byte(values[0])
	}
	return nil
}

func each(h http.Header, fn func(name, value []byte) bool) {
	for name, values := range h {
		for _, value := range values {
			if !fn([]byte(name), []byte(value)) {
				return
			}
		}
	}
}
