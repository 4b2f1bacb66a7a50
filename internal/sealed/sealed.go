// Package sealed encrypts the secrets that must be at hand in clear, such as the
// keys of namespaces and of webhooks, for keeping them in a store: AES-256-GCM
// under one master key.
//
// A sealed text is bound to its purpose, which says what the secret is and whose
// ("webhook/guest/orders"): copied to another place it does not open.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

// form stands before every sealed text and names how it was made.
const form = "s1."

// ErrOpen: a text was sealed under another key or for another purpose, or is
// damaged. Test it with errors.Is.
var ErrOpen = errors.New("sealed under another master key, for another purpose, or damaged")

// Sealer seals and opens. It may be used by several goroutines at once.
type Sealer struct{ aead cipher.AEAD }

// New makes a Sealer of a master key of KeySize bytes.
func New(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a master key has %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts a secret. The same secret gives another text each time.
func (s *Sealer) Seal(purpose, secret string) string {
	return form + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, []byte(secret), []byte(purpose)))
}

// Open answers what was sealed for this purpose, or ErrOpen.
func (s *Sealer) Open(purpose, text string) (string, error) {
	encoded, ok := strings.CutPrefix(text, form)
	if !ok {
		return "", ErrOpen
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", ErrOpen
	}
	secret, err := s.aead.Open(nil, nil, raw, []byte(purpose))
	if err != nil {
		return "", ErrOpen
	}
	return string(secret), nil
}

// NewKey makes a random key in its text form.
func NewKey() string {
	var key [KeySize]byte
	_, _ = rand.Read(key[:]) // never fails
	return hex.EncodeToString(key[:])
}

// ParseKey reads the text form of a key, 64 hex digits. The error does not
// repeat it.
func ParseKey(text string) ([]byte, error) {
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("a key is %d hex digits, such as openssl rand -hex %d makes", 2*KeySize, KeySize)
	}
	return key, nil
}
