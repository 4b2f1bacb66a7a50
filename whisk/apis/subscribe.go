package apis

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Keys that tenants choose have at least this many characters, and at most.
const minKey, maxKey = 16, 256

// newSubscription makes a client with its key and secret, made if they are empty.
func newSubscription(name, key, secret string, now time.Time) (s subscription, _, _ string, err error) {
	for _, given := range []*string{&key, &secret} {
		if *given == "" {
			*given = rand.Text()
		}
		if !validKey(*given) {
			return s, "", "", refusal(msgKeyLength)
		}
	}
	k, sec := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(secret))
	return subscription{Name: name, Key: k[:], Secret: sec[:], Created: now.UnixMilli()}, key, secret, nil
}

func validKey(key string) bool {
	if len(key) < minKey || len(key) > maxKey {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] >= 0x7f {
			return false
		}
	}
	return true
}

// id names a subscription to its owner; it does not give the key away.
func (s *subscription) id() string { return hex.EncodeToString(s.Key[:min(8, len(s.Key))]) }

// subscribed answers the subscriptions with one more, or in place of the one
// with the same key. The error is a refusal.
func subscribed(all []subscription, s subscription) ([]subscription, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(o subscription) bool { return o.key() == s.key() })
	if len(all) >= maxSubscriptions {
		return nil, refusal(msgTooMany("subscriptions of the API", maxSubscriptions))
	}
	return append(all, s), nil
}

// without answers the subscriptions but for one.
func without(all []subscription, id string) []subscription {
	return slices.DeleteFunc(slices.Clone(all), func(s subscription) bool { return s.id() == id })
}
