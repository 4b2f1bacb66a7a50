// Package sigv4 signs HTTP requests as the services of AWS ask for it (Signature
// Version 4, in the Authorization header).
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Credentials are who signs. SessionToken is empty for long-lived keys.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
}

// Scope is what a signature is good for.
type Scope struct {
	Region, Service string
	Time            time.Time
}

const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
)

// Sign sets the headers X-Amz-Date and Authorization, and X-Amz-Security-Token if
// there is a session token. The host, and every header that the request has by
// then, is signed; body is what will be sent.
func Sign(r *http.Request, body []byte, c Credentials, s Scope) {
	at := s.Time.UTC()
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", at.Format(stamp))
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}
	headers, signed := canonicalHeaders(r)
	canonical := strings.Join([]string{
		r.Method, canonicalPath(r.URL, s.Service), canonicalQuery(r.URL.Query()), headers, signed, hexHash(body),
	}, "\n")
	scope := strings.Join([]string{at.Format("20060102"), s.Region, s.Service, "aws4_request"}, "/")
	toSign := strings.Join([]string{algorithm, at.Format(stamp), scope, hexHash([]byte(canonical))}, "\n")
	key := []byte("AWS4" + c.SecretAccessKey)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, c.AccessKeyID, scope, signed, hex.EncodeToString(mac(key, toSign))))
}

// canonicalHeaders answers the lines of the headers, each with its line feed, and
// their names joined by semicolons.
func canonicalHeaders(r *http.Request) (lines, names string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	values := map[string]string{"host": host}
	for name, list := range r.Header {
		trimmed := make([]string, len(list))
		for i, v := range list {
			trimmed[i] = strings.Join(strings.Fields(v), " ")
		}
		values[strings.ToLower(name)] = strings.Join(trimmed, ",")
	}
	sorted := slices.Sorted(maps.Keys(values))
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return b.String(), strings.Join(sorted, ";")
}

// canonicalPath is the path as the service reads it: encoded once more than it is
// sent, except by S3.
func canonicalPath(u *url.URL, service string) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	if service == "s3" {
		return path
	}
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i] = escape(segments[i])
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(query url.Values) string {
	byName := make(map[string][]string, len(query))
	for name, list := range query {
		values := make([]string, len(list))
		for i, v := range list {
			values[i] = escape(v)
		}
		slices.Sort(values)
		byName[escape(name)] = values
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(byName)) { // not by pairs: "a1=" is before "a="
		for _, v := range byName[name] {
			pairs = append(pairs, name+"="+v)
		}
	}
	return strings.Join(pairs, "&")
}

// escape encodes all but the unreserved characters of RFC 3986.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func hexHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
