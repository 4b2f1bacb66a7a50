package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
	"millrace/cli/remote"
)

// connect settles where the project goes: flags before the project's files before
// the user's settings. It asks the platform what it runs and allows.
func (s *session) connect(ctx context.Context, t plan.Target) error {
	host, key, err := s.credentials(t)
	if err != nil {
		return err
	}
	s.token = cmp.Or(t.Token, "DUMMY TOKEN")
	s.client, err = remote.New(remote.Config{APIHost: host, Key: key, Insecure: s.Insecure || t.Insecure, UserAgent: s.UserAgent})
	if err != nil {
		return fmt.Errorf("%w (--apihost, --auth, the project's files, or wsk property set)", err)
	}
	s.report.verbose("The API host is [%s].", s.client.Host())
	if err := s.ask(ctx, t); err != nil {
		s.client.Close()
		return err
	}
	return nil
}

func (s *session) credentials(t plan.Target) (host, key string, err error) {
	ownHost, ownKey, err := s.Settings()
	if err != nil {
		return "", "", err
	}
	if sameHost(t.APIHost, ownHost) {
		t.APIHost = ownHost // with its scheme
	}
	// A project from somewhere must not have the user's key sent to its host.
	if s.APIHost == "" && s.Key == "" && t.APIHost != "" && !t.Own && t.Key == "" && t.APIHost != ownHost {
		return "", "", fmt.Errorf("%s names the API host %s without a credential, and your key is for %s: give --auth, or --apihost", t.Pos, t.APIHost, cmp.Or(ownHost, "no host"))
	}
	return cmp.Or(s.APIHost, t.APIHost, ownHost), cmp.Or(s.Key, t.Key, ownKey), nil
}

// sameHost tells whether a project's host is the user's. It may lack the scheme,
// but not have another one.
func sameHost(theirs, own string) bool {
	scheme, host := split(theirs)
	ownScheme, ownHost := split(own)
	return strings.EqualFold(host, ownHost) && (scheme == "" || scheme == cmp.Or(ownScheme, "https"))
}

func split(address string) (scheme, host string) {
	scheme, host, ok := strings.Cut(strings.TrimRight(address, "/"), "://")
	if !ok {
		scheme, host = "", scheme
	}
	return scheme, host
}

// ask learns the namespace and what the platform offers.
func (s *session) ask(ctx context.Context, t plan.Target) error {
	names, err := s.client.Namespaces(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("asking %s for the namespace: %w", s.client.Host(), err)
	case len(names) == 0:
		return fmt.Errorf("%s knows no namespace of this key", s.client.Host())
	case t.Namespace == "" || t.Namespace == "_":
		s.namespace = names[0]
	case !slices.Contains(names, t.Namespace):
		return fmt.Errorf("the project belongs to the namespace %s, and the key to %s", t.Namespace, strings.Join(names, ", "))
	default:
		s.namespace = t.Namespace
	}
	s.report.verbose("The namespace is [%s].", s.namespace)
	doc, err := s.client.Info(ctx)
	if err != nil {
		s.report.warn(fmt.Sprintf("%s does not say which runtimes it has (%s): those named are taken as they are", s.client.Host(), err))
		return nil
	}
	if s.info, err = platform.Parse(doc); err != nil {
		return fmt.Errorf("reading what %s says of itself: %w", s.client.Host(), err)
	}
	if len(s.info.Kinds()) == 0 {
		s.info = nil
	}
	return nil
}
