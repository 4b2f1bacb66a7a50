package wsk

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// requestTimeout is longer than the longest blocking call, 60 s.
const requestTimeout = 90 * time.Second

// client sends requests to one API host with one key.
type client struct {
	app  *app
	http *http.Client
	settings
}

// client answers a client for the settings in force. Without authentication
// only requests that need none can be sent.
func (a *app) client(authenticated bool) (*client, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	if s.host == "" {
		return nil, &Error{Msg: "The API host is not valid: An API host must be provided.", Code: exitGeneral, Usage: true}
	}
	if authenticated && s.auth == "" {
		return nil, usageError("Authorization key is not configured (--auth is required)")
	}
	if !strings.Contains(s.host, "://") {
		s.host = "https://" + s.host
	}
	s.host = strings.TrimRight(s.host, "/")
	config := &tls.Config{InsecureSkipVerify: a.flags.insecure}
	if s.cert != "" && s.key != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, because(err, "Unable to load the client certificate")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &client{app: a, settings: s, http: &http.Client{Transport: transport}}, nil
}

// answer is what came back: any status, the whole body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// path makes a path below the namespace: its parts are escaped one by one.
func (c *client) path(namespace string, parts ...string) string {
	path := "/namespaces/" + url.PathEscape(namespace)
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// entity makes the path of an entity in a collection.
func (c *client) entity(collection string, n name) string {
	return c.path(n.namespace, append([]string{collection}, n.parts()...)...)
}

// do sends a request to path below /api/v1. body is JSON, or nil for none.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, c.address(path, query), body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &Error{Msg: err.Error(), Code: exitNetwork}
	}
	c.traceAnswer(resp, text)
	return &answer{status: resp.StatusCode, header: resp.Header, body: text}, nil
}

// address is the URL of a path below /api/v1.
func (c *client) address(path string, query url.Values) string {
	address := c.host + "/api/" + c.version + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address
}

// send sends a request; the caller closes the body of the answer.
func (c *client) send(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Msg: fmt.Sprintf("Invalid API host '%s': %s", c.host, err), Code: exitUsage}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	agent := c.app.flags.userAgent
	if agent == "" {
		agent = fmt.Sprintf("OpenWhisk-CLI/1.0 (%s) %s", c.app.Version, c.app.Platform)
	}
	req.Header.Set("User-Agent", agent)
	if c.auth != "" { // as it is: the platform says what is wrong with it
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.auth)))
	}
	c.traceRequest(req, body)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{Msg: err.Error() + c.schemeHint(err), Code: exitNetwork}
	}
	return resp, nil
}

// schemeHint tells how to reach a server that does not speak HTTPS, which a host
// without a scheme stands for.
func (c *client) schemeHint(err error) string {
	if !errors.Is(err, http.ErrSchemeMismatch) {
		return ""
	}
	return fmt.Sprintf("; set the API host with its scheme: wsk property set --apihost http://%s", strings.TrimPrefix(c.host, "https://"))
}

// get, put and remove send a request whose answer must be a success and is
// decoded into out, unless that is nil.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

func (c *client) put(ctx context.Context, path string, overwrite bool, in, out any) error {
	return c.call(ctx, http.MethodPut, path, url.Values{"overwrite": {fmt.Sprint(overwrite)}}, encode(in), out)
}

func (c *client) remove(ctx context.Context, path string, query url.Values) error {
	return c.call(ctx, http.MethodDelete, path, query, nil, nil)
}

func (c *client) call(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	a, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return statusError(a.status, a.body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return &Error{Msg: fmt.Sprintf("Failed to parse the answer of the API: %s", err), Code: exitGeneral}
	}
	return nil
}

// traceRequest and traceAnswer print what -v and -d ask for. The key is not shown.
func (c *client) traceRequest(req *http.Request, body []byte) {
	f := c.app.flags
	if !f.verbose && !f.debug {
		return
	}
	header := req.Header.Clone()
	if header.Get("Authorization") != "" {
		header.Set("Authorization", "Basic [hidden]")
	}
	fmt.Fprintf(c.app.Out, "REQUEST:\n[%s]\t%s\nReq Headers\n%s\n", req.Method, req.URL, indented(encode(header), "  "))
	if len(body) > 0 {
		fmt.Fprintf(c.app.Out, "Req Body\n%s\n", c.withoutKey(body))
	}
}

// withoutKey hides the key in a body: feeds and APIs are sent it there.
func (c *client) withoutKey(body []byte) []byte {
	if c.auth == "" {
		return body
	}
	return bytes.ReplaceAll(body, []byte(c.auth), []byte("[hidden]"))
}

func (c *client) traceAnswer(resp *http.Response, body []byte) {
	f := c.app.flags
	if !f.verbose && !f.debug {
		return
	}
	fmt.Fprintf(c.app.Out, "RESPONSE:Got response with code %d\nResp Headers\n%s\n", resp.StatusCode, indented(encode(resp.Header), "  "))
	fmt.Fprintf(c.app.Out, "Response body size is %d bytes\nResponse body received:\n%s\n", len(body), c.withoutKey(body))
}

func indented(text json.RawMessage, by string) []byte {
	var b bytes.Buffer
	if json.Indent(&b, text, "", by) != nil {
		return text
	}
	return b.Bytes()
}
