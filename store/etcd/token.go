package etcd

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// tokens gets a user's tokens over a client of its own, that has none. The user's
// client would show its old token even when it asks for a new one; an etcd that has
// restarted refuses that for the old token, and the client would ask again for ever.
type tokens struct {
	clientv3.Auth
	anonymous *clientv3.Client
}

func (t tokens) Authenticate(ctx context.Context, name, password string) (*clientv3.AuthenticateResponse, error) {
	return t.anonymous.Authenticate(ctx, name, password)
}

// newClient makes the client for requests; anonymous is nil without a user.
func newClient(conf clientv3.Config) (client, anonymous *clientv3.Client, err error) {
	if client, err = clientv3.New(conf); err != nil || conf.Username == "" {
		return client, nil, err
	}
	conf.Username, conf.Password = "", ""
	if anonymous, err = clientv3.New(conf); err != nil {
		client.Close()
		return nil, nil, err
	}
	client.Auth = tokens{client.Auth, anonymous}
	return client, anonymous, nil
}

// closeClients ends the connections.
func (s *Store) closeClients() error {
	err := s.client.Close()
	if s.anonymous != nil {
		err = errors.Join(err, s.anonymous.Close())
	}
	return err
}
