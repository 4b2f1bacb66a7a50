package gateway

import (
	"millrace/gateway/secret"
	"millrace/store"
)

// parse reads a stored resource with the secrets that it refers to.
func parse[T any](f *follower, e *store.Event) (*T, error) { return secret.Parse[T](f.secrets, e) }

// takeChangedSecrets takes the resources again whose secrets have changed.
func (f *follower) takeChangedSecrets(ch *changes) {
	for _, e := range f.secrets.Again() {
		f.take(&e, ch)
	}
}
