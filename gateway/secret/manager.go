package secret

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
	"strings"
	"time"
)

// manager is a place that keeps secrets, as one resource says how to reach it.
type manager interface {
	// parts answers what a path may mean, in the order in which it is tried: the next
	// one counts if the document of the one before does not exist.
	parts(path string) ([]part, error)
	// fetch answers a document of the manager; an absentError if there is none. It
	// is called by several goroutines at once.
	fetch(ctx context.Context, document string) (string, error)
}

// part is a document of a manager and the member of it that is meant; "" is the
// document itself.
type part struct{ document, member string }

// managers make a manager of its resource. Their files' init functions fill it.
var managers = map[string]func(conf []byte, c *client) (manager, error){}

func register(name string, open func(conf []byte, c *client) (manager, error)) { managers[name] = open }

// open makes the manager of a resource, whose own references to the environment are
// replaced.
func (r *Resolver) open(id string, conf []byte) (manager, error) {
	name, _, _ := strings.Cut(id, "/")
	open, ok := managers[name]
	if !ok {
		return nil, errors.New("no secret manager: " + name)
	}
	var doc any
	if json.Unmarshal(conf, &doc) != nil {
		return nil, fmt.Errorf("secret conf %s is not valid JSON", id)
	}
	replaced, err := json.Marshal(r.withEnv(doc))
	if err != nil {
		return nil, err
	}
	m, err := open(replaced, r.client)
	if err != nil {
		return nil, fmt.Errorf("secret conf %s: %w", id, err)
	}
	return m, nil
}

// withEnv replaces the references to the environment in a decoded value.
func (r *Resolver) withEnv(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = r.withEnv(v[name])
		}
	case []any:
		for i := range v {
			v[i] = r.withEnv(v[i])
		}
	case string:
		if name, ok := cutPrefixFold(v, envScheme); ok {
			value, err := variable(name, r.Env)
			if err == nil {
				return value
			}
			r.failed(v, err)
		}
	}
	return v
}

// absentError says that a manager answered that there is no such secret: what it
// was before does not count any more.
type absentError struct{ text string }

func (e *absentError) Error() string { return e.text }

func isAbsent(err error) bool {
	var absent *absentError
	return errors.As(err, &absent)
}

// maxAnswer bounds what a manager may answer.
const maxAnswer = 1 << 20

// client makes HTTP requests to managers. It follows no redirection, which would
// carry credentials to where nobody said that they may go.
type client struct{ safe, unverified *http.Client }

func newClient(s *Settings) *client {
	with := func(conf *tls.Config) *http.Client {
		return &http.Client{
			Timeout: s.Timeout,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true,
				MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &client{with(&tls.Config{RootCAs: s.Roots}), with(&tls.Config{InsecureSkipVerify: true})}
}

// close lets go of connections that nobody uses.
func (c *client) close() {
	c.safe.CloseIdleConnections()
	c.unverified.CloseIdleConnections()
}

// of answers the client with or without verification of certificates.
func (c *client) of(verify bool) *http.Client {
	if verify {
		return c.safe
	}
	return c.unverified
}

// do sends a request and reads the answer, of whatever status.
func do(c *http.Client, r *http.Request) (status int, body []byte, err error) {
	res, err := c.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the URL around it says which secret it was, at length
		}
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is larger than 1 MiB")
	}
	return res.StatusCode, body, err
}

// newRequest is http.NewRequestWithContext for a body in memory.
func newRequest(ctx context.Context, method, target string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the address of the manager is not a URL") // whose text may hold a password
	}
	return r, nil
}

// badStatus is the error for an answer that is none.
func badStatus(status int) error {
	err := fmt.Errorf("invalid status code %d", status)
	if status == http.StatusNotFound {
		return &absentError{err.Error()}
	}
	return err
}

// errNotReadable hides the text of a decoding error, which may show a secret.
var errNotReadable = errors.New("it has members of the wrong type")
