// Package remote is a client of OpenWhisk's REST API for the commands that move
// many entities at once, such as import and deploy. It deals in documents as they
// are; what is in them is its callers' concern.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// requestTimeout is longer than the longest blocking call, 60 s.
	requestTimeout = 90 * time.Second
	// pageSize is the most that a list answers at once.
	pageSize = 200
	// maxAnswer bounds what a server may answer: an action's code, and some.
	maxAnswer = 128 << 20
)

// Config says which namespace of which platform is meant.
type Config struct {
	// APIHost is a URL; without a scheme it is https.
	APIHost string
	// Key is uuid:secret.
	Key string
	// Insecure passes over the check of the server's certificate.
	Insecure bool
	// UserAgent is what requests say they come from.
	UserAgent string
}

// Client sends requests with one key.
type Client struct {
	cfg  Config
	http *http.Client
}

// New makes a client. The error says what is missing.
func New(cfg Config) (*Client, error) {
	if cfg.APIHost == "" {
		return nil, errors.New("the API host is not known: give its URL")
	}
	if !strings.Contains(cfg.APIHost, "://") {
		cfg.APIHost = "https://" + cfg.APIHost
	}
	cfg.APIHost = strings.TrimRight(cfg.APIHost, "/")
	if u, err := url.Parse(cfg.APIHost); err != nil || u.Host == "" {
		return nil, fmt.Errorf("the API host %q is no URL", cfg.APIHost)
	}
	if uuid, secret, ok := strings.Cut(cfg.Key, ":"); !ok || uuid == "" || secret == "" {
		return nil, errors.New("the key is not known: give it in the form uuid:secret")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: cfg.Insecure}
	return &Client{cfg: cfg, http: &http.Client{Transport: transport, Timeout: requestTimeout}}, nil
}

// Host is the URL of the platform, without a slash at its end.
func (c *Client) Host() string { return c.cfg.APIHost }

// Key is the key in use.
func (c *Client) Key() string { return c.cfg.Key }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer that is no success.
type Error struct {
	Status int
	Msg    string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (status %d)", e.Msg, e.Status) }

// IsStatus tells whether err is an answer with this status.
func IsStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// Path makes a path below /api/v1 of the parts of an entity's address, such as
// Path("namespaces", "_", "actions", "pkg", "name").
func Path(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// Namespaces answers the namespaces of the key; normally one.
func (c *Client) Namespaces(ctx context.Context) ([]string, error) {
	var names []string
	err := c.Do(ctx, http.MethodGet, "/namespaces", nil, nil, &names)
	return names, err
}

// Info answers the document that describes the platform: kinds and limits.
func (c *Client) Info(ctx context.Context) (json.RawMessage, error) {
	var doc json.RawMessage
	err := c.send(ctx, http.MethodGet, c.cfg.APIHost+"/", nil, &doc)
	return doc, err
}

// List answers all entries of a collection, page by page, newest first.
func (c *Client) List(ctx context.Context, path string) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for {
		var page []json.RawMessage
		q := url.Values{"limit": {strconv.Itoa(pageSize)}, "skip": {strconv.Itoa(len(all))}}
		if err := c.Do(ctx, http.MethodGet, path, q, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < pageSize {
			return all, nil
		}
	}
}

// Do sends a request to a path below /api/v1. in is sent as JSON unless it is
// nil, the answer decoded into out unless that is nil. An answer that is no
// success is an *Error.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	address := c.cfg.APIHost + "/api/v1" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return c.send(ctx, method, address, in, out)
}

func (c *Client) send(ctx context.Context, method, address string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding a request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.UserAgent != "" {
		req.Header.Set("User-Agent", c.cfg.UserAgent)
	}
	uuid, secret, _ := strings.Cut(c.cfg.Key, ":")
	req.SetBasicAuth(uuid, secret)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return statusError(resp.StatusCode, text)
	case out == nil || len(text) == 0:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: the answer is no JSON as expected: %w", method, address, err)
	}
	return nil
}

// statusError takes the text of an error body, or of a failed activation.
func statusError(status int, body []byte) error {
	var e struct {
		Error    json.RawMessage `json:"error"`
		Response struct {
			Result struct {
				Error json.RawMessage `json:"error"`
			} `json:"result"`
		} `json:"response"`
	}
	msg := http.StatusText(status)
	if json.Unmarshal(body, &e) == nil {
		for _, raw := range []json.RawMessage{e.Error, e.Response.Result.Error} {
			if len(raw) > 0 {
				msg = plain(raw)
				break
			}
		}
	}
	return &Error{Status: status, Msg: msg}
}

func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
