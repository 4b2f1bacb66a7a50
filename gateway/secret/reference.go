package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	envScheme    = "$env://"
	secretScheme = "$secret://"
)

func cutPrefixFold(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return "", false
	}
	return text[len(prefix):], true
}

// parse answers the object that a reference leads through, such as vault/1, and
// the path there.
func parse(ref string) (object, path string, err error) {
	rest, ok := cutPrefixFold(ref, secretScheme)
	if !ok {
		return "", "", errors.New("error secret_uri prefix: " + ref)
	}
	manager, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return "", "", errors.New("error format: no secret manager")
	}
	id, path, ok := strings.Cut(rest, "/")
	switch {
	case !ok:
		return "", "", errors.New("error format: no secret conf id")
	case path == "":
		return "", "", errors.New("error format: no secret key id")
	}
	return manager + "/" + id, path, nil
}

// variable answers a variable of the environment: NAME, or NAME/key for a member
// of the JSON object that it holds.
func variable(path string, env func(string) (string, bool)) (string, error) {
	name, key, _ := strings.Cut(path, "/")
	value, ok := env(name)
	if !ok {
		return "", &absentError{"no environment variable " + name}
	}
	if key == "" {
		return value, nil
	}
	return member(value, key)
}

// member answers a member of a JSON object: a text as it is, anything else as its
// JSON.
func member(document, key string) (string, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(document), &members) != nil { // whose error would show some of it
		return "", errors.New("failed to decode result: it is no JSON object")
	}
	raw, ok := members[key]
	if !ok || string(raw) == "null" {
		return "", &absentError{fmt.Sprintf("it has no key %q", key)}
	}
	if raw[0] != '"' {
		return string(raw), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", errors.New("failed to decode result")
	}
	return text, nil
}
