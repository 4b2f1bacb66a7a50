package tenant

import (
	"strings"
	"testing"

	"millrace/whisk"
)

const (
	uuid   = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
	secret = "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

func TestAuthenticate(t *testing.T) {
	limits := whisk.NamespaceLimits{InvocationsPerMinute: 1, ConcurrentInvocations: 2, FiresPerMinute: 3}
	d, err := New([]whisk.Identity{{Namespace: "guest", UUID: strings.ToUpper(uuid), Secret: secret}}, limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{uuid + ":" + secret, strings.ToUpper(uuid) + ":" + secret} {
		id, err := d.Authenticate(key)
		if err != nil || id.Namespace != "guest" || id.Subject != "guest" || id.Limits != limits {
			t.Errorf("Authenticate: %v, %v", id, err)
		}
	}
	for _, key := range []string{"", uuid, uuid + ":", uuid + ":" + secret + "x", secret + ":" + uuid} {
		if _, err := d.Authenticate(key); err == nil {
			t.Errorf("Authenticate(%q): no error", key)
		}
	}
	if id := d.Namespace("guest"); id == nil || id.Secret != secret {
		t.Errorf("Namespace: %v", id)
	}
	if id := d.Namespace("other"); id != nil {
		t.Errorf("Namespace of a stranger: %v", id)
	}
}

func TestNewRefuses(t *testing.T) {
	good := whisk.Identity{Namespace: "guest", UUID: uuid, Secret: secret}
	other := good
	other.Namespace = "other"
	short, noUUID, slash := good, good, good
	short.Secret, noUUID.UUID, slash.Namespace = "x", "x", "/"
	for name, ids := range map[string][]whisk.Identity{
		"short secret": {short}, "bad uuid": {noUUID}, "bad namespace": {slash}, "same uuid": {good, other},
	} {
		if _, err := New(ids, whisk.NamespaceLimits{}); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds a secret", name)
		}
	}
}
