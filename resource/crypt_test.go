package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
)

const (
	plainRoute = `{"uri":"/a","priority":1.50,"plugins":{"other":{"token":"a"},"tester":{"count":1,"token":"a",
		"list":[{"deep":{"secret":"u:p"}},{"deep":5}],"headers":{"x":"K","y":2}}},
		"upstream":{"tls":{"client_key":"bobk"}}}`
	storedRoute = `{"uri":"/a","priority":1.50,"plugins":{"other":{"token":"a"},"tester":{"count":1,"token":"dpwomMlEsHH2L7wSUi6YiQ==",
		"list":[{"deep":{"secret":"3ADkE6U9nhfTup0vRb7T6g=="}},{"deep":5}],"headers":{"x":"ddTFvZ22O7Lyym6gbFfU/A==","y":2}}},
		"upstream":{"tls":{"client_key":"QbETMUqJqqoIwwCFwlbaOA=="}}}`
)

func TestEncryptAndDecrypt(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, plainRoute)
	Encrypt(doc, ring)
	if diff := cmp.Diff(document(t, storedRoute), doc); diff != "" {
		t.Errorf("encrypted: %s", diff)
	}
	raw, err := DecryptJSON([]byte(storedRoute), ring)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(document(t, plainRoute), document(t, string(raw))); diff != "" {
		t.Errorf("decrypted: %s", diff)
	}
}

func TestMetadata(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	const plain, stored = `{"id":"tester","token":"a","deep":{"master":"a"}}`, `{"id":"tester","token":"a","deep":{"master":"dpwomMlEsHH2L7wSUi6YiQ=="}}`
	doc := document(t, plain)
	Encrypt(doc, ring)
	if diff := cmp.Diff(document(t, stored), doc); diff != "" {
		t.Errorf("encrypted: %s", diff)
	}
	Decrypt(doc, ring)
	if diff := cmp.Diff(document(t, plain), doc); diff != "" {
		t.Errorf("decrypted: %s", diff)
	}
}

// Without encryption of fields private keys are encrypted still.
func TestOnlyKeys(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	const (
		plain  = `{"plugins":{"tester":{"token":"a"}},"cert":"c","key":"u:p","keys":["K"],"tls":{"client_key":"bobk"}}`
		stored = `{"plugins":{"tester":{"token":"a"}},"cert":"c","key":"3ADkE6U9nhfTup0vRb7T6g==","keys":["ddTFvZ22O7Lyym6gbFfU/A=="],"tls":{"client_key":"QbETMUqJqqoIwwCFwlbaOA=="}}`
	)
	doc := document(t, plain)
	Encrypt(doc, ring.OnlyKeys())
	if diff := cmp.Diff(document(t, stored), doc); diff != "" {
		t.Errorf("encrypted: %s", diff)
	}
	Decrypt(doc, ring.OnlyKeys())
	if diff := cmp.Diff(document(t, plain), doc); diff != "" {
		t.Errorf("decrypted: %s", diff)
	}
	var none *fieldcrypt.Keyring
	if none.OnlyKeys() != nil || none.Fields() != nil || ring.Fields() != ring {
		t.Error("rings")
	}
}

func TestReferencesStayInTheClear(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	const route = `{"plugins":{"tester":{"token":"$secret://vault/1/a/b"}}}`
	doc := document(t, route)
	Encrypt(doc, ring)
	if diff := cmp.Diff(document(t, route), doc); diff != "" {
		t.Error(diff)
	}
}

func TestParseRoute(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse[Route]([]byte(`{"id":5,"priority":1e1,"plugins":{"tester":{"token":"dpwomMlEsHH2L7wSUi6YiQ=="}},
		"upstream":{"nodes":{"a:80":1.0}}}`), ring)
	if err != nil {
		t.Fatal(err)
	}
	want := &Route{ID: "5", Priority: 10, Plugins: Plugins{"tester": []byte(`{"token":"a"}`)},
		Upstream: &Upstream{Nodes: Nodes{{Host: "a", Port: 80, Weight: 1}}}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

func document(t *testing.T, text string) any {
	t.Helper()
	doc, err := jsonvalue.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
