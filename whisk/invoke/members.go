package invoke

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// members walks the members of a valid JSON object without decoding values:
//
//	for m := (members{rest: object}); m.next(); { … m.key, m.value … }
type members struct {
	rest []byte
	// key is still quoted and escaped; value is the member's JSON.
	key, value []byte
}

func (m *members) next() bool {
	m.skipSpace()
	if len(m.rest) == 0 || m.rest[0] == '}' {
		return false
	}
	m.rest = m.rest[1:] // the brace, or the comma after the previous member
	m.skipSpace()
	if len(m.rest) == 0 || m.rest[0] != '"' {
		return false
	}
	m.key = m.take(stringEnd(m.rest))
	m.skipSpace()
	m.take(1) // the colon
	m.skipSpace()
	m.value = m.take(valueEnd(m.rest))
	return true
}

func (m *members) take(n int) []byte {
	n = min(n, len(m.rest))
	head := m.rest[:n]
	m.rest = m.rest[n:]
	return head
}

func (m *members) skipSpace() {
	for len(m.rest) > 0 && isSpace(m.rest[0]) {
		m.rest = m.rest[1:]
	}
}

// is tells whether the key, however it is spelt, stands for name.
func (m *members) is(name string) bool {
	if plainKey(m.key) {
		return string(m.key[1:len(m.key)-1]) == name
	}
	return unquote(m.key) == name
}

// plainKey: the text between the quotes is the key itself.
func plainKey(key []byte) bool {
	return bytes.IndexByte(key, '\\') < 0 && utf8.Valid(key)
}

func unquote(key []byte) string {
	var s string
	if err := json.Unmarshal(key, &s); err != nil {
		return "" // the document was checked before: cannot happen
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// stringEnd answers where the string that s begins with ends.
func stringEnd(s []byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// valueEnd answers where the JSON value that s begins with ends.
func valueEnd(s []byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += stringEnd(s[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the enclosing object: a scalar ended before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}
