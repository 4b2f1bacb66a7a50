// Package fieldcrypt encrypts single text values with a ring of keys, in the form
// that APISIX stores secrets in: AES-CBC with the key's first 16 bytes as IV,
// PKCS#7, standard Base64.
//
// The form is given by compatibility with existing stores. It hides secrets from
// whoever reads a store or a backup without the configuration; it is
// deterministic and does not detect changes.
package fieldcrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"unicode/utf8"
)

// Keyring encrypts with its first key and decrypts with any. The nil Keyring
// leaves every text as it is. It may be used by several goroutines at once.
type Keyring struct {
	keys     []key
	onlyKeys bool
}

type key struct {
	block cipher.Block
	iv    []byte
}

// New makes a ring of keys of 16 (AES-128) or 32 bytes (AES-256); no keys give
// the nil Keyring. Errors name a key by its position only.
func New(keys []string) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	ring := &Keyring{}
	for i, text := range keys {
		if len(text) != 16 && len(text) != 32 {
			return nil, fmt.Errorf("key %d of the keyring has %d bytes, want 16 or 32", i+1, len(text))
		}
		block, err := aes.NewCipher([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("key %d of the keyring: %w", i+1, err)
		}
		ring.keys = append(ring.keys, key{block, []byte(text[:aes.BlockSize])})
	}
	return ring, nil
}

// OnlyKeys answers the ring for stores in which private keys are encrypted, and
// nothing else is.
func (r *Keyring) OnlyKeys() *Keyring {
	if r == nil {
		return nil
	}
	return &Keyring{r.keys, true}
}

// Fields answers the ring for what is no private key: nil after OnlyKeys.
func (r *Keyring) Fields() *Keyring {
	if r == nil || r.onlyKeys {
		return nil
	}
	return r
}

// Encrypt answers the Base64 text of plain under the first key.
func (r *Keyring) Encrypt(plain string) string {
	if r == nil {
		return plain
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	data := append([]byte(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	k := r.keys[0]
	cipher.NewCBCEncrypter(k.block, k.iv).CryptBlocks(data, data)
	return base64.StdEncoding.EncodeToString(data)
}

// Decrypt answers the plain text, which must be UTF-8, of what Encrypt made under
// any of the keys. A text that no key fits is answered as it is: it was never
// encrypted.
func (r *Keyring) Decrypt(text string) string {
	if r == nil {
		return text
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return text
	}
	for _, k := range r.keys {
		plain := make([]byte, len(data))
		cipher.NewCBCDecrypter(k.block, k.iv).CryptBlocks(plain, data)
		if plain, ok := unpad(plain); ok && utf8.Valid(plain) {
			return string(plain)
		}
	}
	return text
}

// unpad removes PKCS#7 padding; ok is false if there is none that is right.
func unpad(data []byte) (plain []byte, ok bool) {
	n := int(data[len(data)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, false
	}
	body, padding := data[:len(data)-n], data[len(data)-n:]
	return body, bytes.Count(padding, padding[:1]) == n
}
