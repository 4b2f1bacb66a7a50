package feed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed request. A signature is the HMAC-SHA256 of the body
// under the secret, written in hex, with or without sha256= before it, or in
// Base64. Who sends headerTimestamp signs it too: {timestamp}.{body}.
const (
	headerGitHub    = "X-Hub-Signature-256" // never with a timestamp
	headerSignature = "X-Signature"
	headerTimestamp = "X-Timestamp" // seconds or ms since 1970
)

// verify tells whether a request is signed with one of the secrets, and if its
// time is signed, that it is near enough to now. It takes the same time whatever
// is wrong with a signature.
func (h *hook) verify(header http.Header, body []byte, secrets []string, now time.Time) bool {
	signed, given := []byte(nil), header.Get(headerSignature)
	if stamp := header.Get(headerTimestamp); stamp != "" && given != "" {
		if !h.timely(stamp, now) {
			return false
		}
		signed = append(signed, stamp+"."...)
	} else if h.RequireTimestamp {
		return false
	}
	if given == "" {
		given = header.Get(headerGitHub)
	}
	signature := decodeSignature(given)
	valid := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(signed)
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), signature) {
			valid = true
		}
	}
	return valid
}

// timely tells whether a timestamp is within the tolerance.
func (h *hook) timely(stamp string, now time.Time) bool {
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || n < 0 {
		return false
	}
	const year5138 = 100_000_000_000 // greater numbers are milliseconds
	if n < year5138 {
		n *= 1000
	}
	difference := now.UnixMilli() - n
	return max(difference, -difference) <= h.Tolerance*1000
}

// decodeSignature answers the bytes of a signature, or nil.
func decodeSignature(text string) []byte {
	text = strings.TrimPrefix(strings.TrimSpace(text), "sha256=")
	if len(text) == hex.EncodedLen(sha256.Size) {
		if b, err := hex.DecodeString(text); err == nil {
			return b
		}
		return nil
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) == sha256.Size {
		return b
	}
	return nil
}
