package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what a registry may answer.
const maxAnswer = 64 << 20

// server is the HTTP API of a registry at one address.
type server struct {
	base   *url.URL
	user   *url.Userinfo
	client *http.Client
	header http.Header
}

// newServer reads the address of a server; user and password in it are sent as
// HTTP's basic authentication.
func newServer(address string, timeout time.Duration) (*server, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("the address of a server is not a URL") // it may hold a password
	}
	s := &server{base: u, user: u.User, client: &http.Client{Timeout: timeout}, header: http.Header{}}
	u.User = nil
	return s, nil
}

func newServers(addresses []string, timeout time.Duration) ([]*server, error) {
	if len(addresses) == 0 {
		return nil, errors.New("no server is configured")
	}
	servers := make([]*server, len(addresses))
	for i, a := range addresses {
		var err error
		if servers[i], err = newServer(a, timeout); err != nil {
			return nil, err
		}
	}
	return servers, nil
}

// errAbsent says that a registry does not know what it was asked for.
var errAbsent = errors.New("not found")

// call asks for a path, with query, below the address and reads JSON into to.
func (s *server) call(ctx context.Context, method, path string, query url.Values, to any) error {
	u := s.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header = s.header.Clone()
	req.Header.Set("Accept", "application/json")
	if s.user != nil {
		password, _ := s.user.Password()
		req.SetBasicAuth(s.user.Username(), password)
	}
	res, err := s.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the URL around it may hold secrets
		}
		return fmt.Errorf("%s at %s: %w", path, s.base.Host, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound:
		return errAbsent
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s at %s: status %d", path, s.base.Host, res.StatusCode)
	}
	if err := json.NewDecoder(&bounded{from: res.Body, left: maxAnswer}).Decode(to); err != nil {
		return fmt.Errorf("reading %s at %s: %w", path, s.base.Host, err)
	}
	return nil
}

var errTooLong = errors.New("the answer is longer than what is read of one")

// bounded reads no more than left bytes, and says so when there are more.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
