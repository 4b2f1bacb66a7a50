package fieldcrypt

import (
	"strings"
	"testing"
	"unicode/utf8"
)

var defaultKeys = []string{"qeddd145sfvddff3", "edd1c9f0985e76a2"}

func ring(t *testing.T, keys ...string) *Keyring {
	t.Helper()
	r, err := New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestVectors holds what APISIX itself stores with its default keys.
func TestVectors(t *testing.T) {
	r := ring(t, defaultKeys...)
	for plain, want := range map[string]string{
		"a":     "dpwomMlEsHH2L7wSUi6YiQ==",
		"u:p":   "3ADkE6U9nhfTup0vRb7T6g==",
		"bobk":  "QbETMUqJqqoIwwCFwlbaOA==",
		"cred1": "IsW/lRFQLUYzdZ+Bw68oYg==",
		"K":     "ddTFvZ22O7Lyym6gbFfU/A==",
		"23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP": "pe14btxogtzJ4qPM/W2qj0AQeUK/O5oegLkKJLkkSEsKUIjP+bgyO+qsTXuLrY/h/esLKrRulD2TOtf+Zt/Us+hxZ/svsMwXZqZ9T9/2wWyi8SKALLfTUZDiV69mxCwD2zNBze1jslMlPtdA9JFIOQ==",
	} {
		if got := r.Encrypt(plain); got != want {
			t.Errorf("Encrypt(%q) = %s, want %s", plain, got, want)
		}
		if got := r.Decrypt(want); got != plain {
			t.Errorf("Decrypt(%q) = %q, want %q", want, got, plain)
		}
	}
}

func TestDecryptWithOlderKey(t *testing.T) {
	old := ring(t, defaultKeys[1]).Encrypt("secret")
	if got := ring(t, defaultKeys...).Decrypt(old); got != "secret" {
		t.Errorf("got %q", got)
	}
}

func TestDecryptLeavesOtherText(t *testing.T) {
	r := ring(t, defaultKeys...)
	for _, text := range []string{"", "plain", "AAAA", strings.Repeat("A", 44), "$secret://vault/1/a"} {
		if got := r.Decrypt(text); got != text {
			t.Errorf("Decrypt(%q) = %q", text, got)
		}
	}
}

func TestLongKeyAndLengths(t *testing.T) {
	r := ring(t, strings.Repeat("k", 32))
	for n := range 50 {
		plain := strings.Repeat("x", n)
		if got := r.Decrypt(r.Encrypt(plain)); got != plain {
			t.Errorf("length %d: got %q", n, got)
		}
	}
}

func TestNoKeys(t *testing.T) {
	r := ring(t)
	if r.Encrypt("a") != "a" || r.Decrypt("dpwomMlEsHH2L7wSUi6YiQ==") != "dpwomMlEsHH2L7wSUi6YiQ==" {
		t.Error("the nil keyring changed a text")
	}
}

func TestBadKey(t *testing.T) {
	_, err := New([]string{defaultKeys[0], "short"})
	if err == nil || strings.Contains(err.Error(), "short") || !strings.Contains(err.Error(), "key 2 of the keyring has 5 bytes") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add("dpwomMlEsHH2L7wSUi6YiQ==")
	r, err := New(defaultKeys)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r.Decrypt(text)
		if got := r.Decrypt(r.Encrypt(text)); utf8.ValidString(text) && got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	})
}
