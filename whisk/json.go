package whisk

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// maxDepth bounds how deep arrays and objects may nest in what clients send, so
// that no language's JSON reader runs out of stack on it.
const maxDepth = 512

// CheckJSON answers nil if b is one JSON value that nests at most 512 deep. The
// error's text is for clients.
func CheckJSON(b []byte) error {
	// A value nests at most half as deep as it is long.
	if len(b) > 2*maxDepth && tooDeep(b) {
		return errors.New("JSON nests too deep")
	}
	if json.Valid(b) {
		return nil
	}
	var v struct{}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	return errors.New("not valid JSON")
}

func tooDeep(b []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if inString {
				i++
			}
		case '"':
			inString = !inString
		case '{', '[':
			if !inString {
				depth++
			}
			if depth > maxDepth {
				return true
			}
		case '}', ']':
			if !inString {
				depth--
			}
		}
	}
	return false
}

// IsObject tells whether the first character of valid JSON opens an object.
func IsObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

// IsArray tells whether the first character of valid JSON opens an array.
func IsArray(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '['
}

// AppendString appends s as a JSON string. Unlike encoding/json it leaves <, >
// and & as they are.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = appendEscaped(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// Bounds of what is read into memory member by member: it takes many times the
// space that it took in the body.
const (
	maxMembers = 1 << 10 // of an object whose members we know
	maxItems   = 1 << 18 // of a list of parameters
)

// object reads the members of an object in JSON that has been checked. They share
// memory with raw.
func object(raw []byte) (map[string]json.RawMessage, error) {
	if !IsObject(raw) {
		return nil, errors.New(MsgPayloadNotObject)
	}
	raw = bytes.TrimSpace(raw)
	fields := map[string]json.RawMessage{}
	n := 0
	gjson.ParseBytes(raw).ForEach(func(key, value gjson.Result) bool {
		fields[key.String()] = raw[value.Index : value.Index+len(value.Raw)]
		n++
		return n <= maxMembers
	})
	if n > maxMembers {
		return nil, errors.New("an object has too many members")
	}
	return fields, nil
}

// items reads the items of an array in JSON that has been checked, at most so
// many. They share memory with raw.
func items(raw []byte, most int) ([]json.RawMessage, error) {
	if !IsArray(raw) {
		return nil, errors.New("not an array")
	}
	raw = bytes.TrimSpace(raw)
	var list []json.RawMessage
	gjson.ParseBytes(raw).ForEach(func(_, value gjson.Result) bool {
		list = append(list, raw[value.Index:value.Index+len(value.Raw)])
		return len(list) <= most
	})
	if len(list) > most {
		return nil, errors.New("too many items")
	}
	return list, nil
}

// text reads a JSON string.
func text(raw json.RawMessage) (string, error) {
	var s string
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '"' {
		return "", errors.New("not a string")
	}
	err := json.Unmarshal(raw, &s)
	return s, err
}

// isNull tells whether a member is absent or null.
func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}
