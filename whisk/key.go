package whisk

import (
	"errors"
	"strings"
)

// secretLength is how long the secret half of a key is, exactly.
const secretLength = 64

// ParseKey splits a key into its two halves: a UUID in its usual text form, and
// a secret of 64 characters. The error does not repeat the key.
func ParseKey(key string) (uuid, secret string, err error) {
	uuid, secret, ok := strings.Cut(key, ":")
	if !ok {
		return "", "", errors.New("a key has the form uuid:secret")
	}
	if !isUUID(uuid) {
		return "", "", errors.New("the part of a key before the colon must be a UUID")
	}
	if len(secret) != secretLength {
		return "", "", errors.New("the part of a key after the colon must have 64 characters")
	}
	return uuid, secret, nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
