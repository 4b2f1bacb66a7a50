// Package cjson checks JSON text and words what is wrong with it as lua-cjson
// does, which the Admin API's clients see.
package cjson

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
)

// maxDepth is how deep objects and arrays may be nested.
const maxDepth = 1000

// Normalize checks that data is one JSON value and answers it as encoding/json
// takes it: control characters inside strings, which lua-cjson allows, are
// escaped. The error's text is lua-cjson's. What lua-cjson takes beyond JSON in
// numbers (NaN, hexadecimal, leading zeros) is refused as an invalid number.
func Normalize(data []byte) ([]byte, error) {
	s := scanner{data: data}
	if err := s.value(s.next()); err != nil {
		return nil, err
	}
	if t := s.next(); t.name != "T_END" || s.pos < len(data) {
		return nil, t.unexpected("the end")
	}
	if s.control {
		return escapeControls(data), nil
	}
	return data, nil
}

// token is one token by lua-cjson's name for it, or by the description of why
// there is none. start counts bytes from 0.
type token struct {
	name  string
	start int
}

func (t token) unexpected(want string) error {
	//lint:ignore ST1005 the text is lua-cjson's
	return fmt.Errorf("Expected %s but found %s at character %d", want, t.name, t.start+1)
}

type scanner struct {
	data    []byte
	pos     int
	depth   int
	control bool // a string holds a control character
}

var punctuation = map[byte]string{
	'{': "T_OBJ_BEGIN", '}': "T_OBJ_END", '[': "T_ARR_BEGIN", ']': "T_ARR_END", ':': "T_COLON", ',': "T_COMMA",
}

var words = []struct{ text, name string }{{"true", "T_BOOLEAN"}, {"false", "T_BOOLEAN"}, {"null", "T_NULL"}}

// at answers the byte at an offset from the current one, 0 past the end.
func (s *scanner) at(offset int) byte {
	if s.pos+offset >= len(s.data) {
		return 0
	}
	return s.data[s.pos+offset]
}

// next reads a token. A NUL byte ends the text, as in C.
func (s *scanner) next() token {
	for c := s.at(0); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = s.at(0) {
		s.pos++
	}
	c := s.at(0)
	if c == 0 {
		return token{"T_END", s.pos}
	}
	t := token{punctuation[c], s.pos}
	switch {
	case t.name != "":
		s.pos++
		return t
	case c == '"':
		return s.text()
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, w := range words {
		if bytes.HasPrefix(s.data[s.pos:], []byte(w.text)) {
			s.pos += len(w.text)
			return token{w.name, t.start}
		}
	}
	return token{"invalid token", s.pos}
}

// text reads a string. Its first error stands where reading stopped.
func (s *scanner) text() token {
	t := token{"T_STRING", s.pos}
	for s.pos++; ; s.pos++ {
		switch c := s.at(0); {
		case c == '"':
			s.pos++
			return t
		case c == 0:
			return token{"unexpected end of string", s.pos}
		case c == '\\' && s.at(1) == 'u':
			n := s.unicodeEscape()
			if n == 0 {
				return token{"invalid unicode escape code", s.pos}
			}
			s.pos += n - 1
		case c == '\\':
			if !strings.ContainsRune(`"\/bfnrt`, rune(s.at(1))) {
				return token{"invalid escape code", s.pos}
			}
			s.pos++
		case c < ' ':
			s.control = true
		}
	}
}

// unicodeEscape answers the length of the \u escape here, which may be a pair of
// surrogates, or 0 if it is none.
func (s *scanner) unicodeEscape() int {
	high, ok := s.hex4(2)
	switch {
	case !ok:
		return 0
	case !utf16.IsSurrogate(high):
		return 6
	}
	low, ok := s.hex4(8)
	if !ok || s.at(6) != '\\' || s.at(7) != 'u' || utf16.DecodeRune(high, low) == '\uFFFD' {
		return 0
	}
	return 12
}

func (s *scanner) hex4(offset int) (code rune, ok bool) {
	for i := range 4 {
		c := s.at(offset + i)
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		code = code<<4 | rune(digit)
	}
	return code, true
}

func (s *scanner) number() token {
	start := s.pos
	if s.wellFormedNumber() {
		return token{"T_NUMBER", start}
	}
	s.pos = start
	return token{"invalid number", start}
}

// wellFormedNumber skips a number; false leaves the position anywhere.
func (s *scanner) wellFormedNumber() bool {
	if s.at(0) == '-' {
		s.pos++
	}
	leading := s.at(0)
	if n := s.digits(); n == 0 || leading == '0' && (n > 1 || s.at(0)|0x20 == 'x') {
		return false
	}
	if s.at(0) == '.' {
		s.pos++
		if s.digits() == 0 {
			return false
		}
	}
	if s.at(0)|0x20 != 'e' {
		return true
	}
	s.pos++
	if c := s.at(0); c == '+' || c == '-' {
		s.pos++
	}
	return s.digits() > 0
}

// digits skips digits and answers how many there were.
func (s *scanner) digits() int {
	start := s.pos
	for isDigit(s.at(0)) {
		s.pos++
	}
	return s.pos - start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// value checks the value that begins with the token t.
func (s *scanner) value(t token) error {
	switch t.name {
	case "T_STRING", "T_NUMBER", "T_BOOLEAN", "T_NULL":
		return nil
	case "T_OBJ_BEGIN", "T_ARR_BEGIN":
		s.depth++
		if s.depth > maxDepth {
			//lint:ignore ST1005 the text is lua-cjson's
			return fmt.Errorf("Found too many nested data structures (%d) at character %d", s.depth, s.pos)
		}
		defer func() { s.depth-- }()
		if t.name == "T_OBJ_BEGIN" {
			return s.object()
		}
		return s.array()
	}
	return t.unexpected("value")
}

func (s *scanner) object() error {
	t := s.next()
	if t.name == "T_OBJ_END" {
		return nil
	}
	for {
		if t.name != "T_STRING" {
			return t.unexpected("object key string")
		}
		if t = s.next(); t.name != "T_COLON" {
			return t.unexpected("colon")
		}
		if err := s.value(s.next()); err != nil {
			return err
		}
		switch t = s.next(); t.name {
		case "T_OBJ_END":
			return nil
		case "T_COMMA":
			t = s.next()
		default:
			return t.unexpected("comma or object end")
		}
	}
}

func (s *scanner) array() error {
	t := s.next()
	if t.name == "T_ARR_END" {
		return nil
	}
	for {
		if err := s.value(t); err != nil {
			return err
		}
		switch t = s.next(); t.name {
		case "T_ARR_END":
			return nil
		case "T_COMMA":
			t = s.next()
		default:
			return t.unexpected("comma or array end")
		}
	}
}

// escapeControls escapes the control characters inside the strings of a checked
// text.
func escapeControls(data []byte) []byte {
	out := make([]byte, 0, len(data)+64)
	inside := false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case inside && c < ' ':
			out = fmt.Appendf(out, `\u%04x`, c)
			continue
		case inside && c == '\\':
			out = append(out, c)
			i++
			c = data[i]
		case c == '"':
			inside = !inside
		}
		out = append(out, c)
	}
	return out
}
