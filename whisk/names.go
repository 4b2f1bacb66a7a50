package whisk

import (
	"net/http"
	"unicode/utf8"
)

// MaxNameLength bounds one part of a path, in characters.
const MaxNameLength = 256

// ValidName tells whether s may name an entity or a namespace: 1 to 256
// characters, a word character first, then also space, @ . & and -, no space
// at the end.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxNameLength || !wordChar(s[0]) || s[len(s)-1] == ' ' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !wordChar(s[i]) && !innerChar(s[i]) {
			return false
		}
	}
	return true
}

func wordChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func innerChar(c byte) bool {
	return c == ' ' || c == '@' || c == '.' || c == '&' || c == '-'
}

// CheckName answers nil or the 400 that says why s is no entity name.
func CheckName(s string) error {
	return checkSegment(s, "Name segement", MsgNameIllegal)
}

// CheckNamespace answers nil or the 400 that says why s is no namespace.
func CheckNamespace(s string) error {
	return checkSegment(s, "Namespace", MsgNamespaceIllegal)
}

func checkSegment(s, field, illegal string) error {
	if ValidName(s) {
		return nil
	}
	if n := utf8.RuneCountInString(s); n > MaxNameLength {
		return &Error{Status: http.StatusBadRequest, Msg: msgNameTooLong(field, n)}
	}
	return &Error{Status: http.StatusBadRequest, Msg: illegal}
}

// CheckActivationID answers nil or the 400 that says why s is no activation id
// (32 lower-case hex digits).
func CheckActivationID(s string) error {
	if n := utf8.RuneCountInString(s); n != 32 {
		return &Error{Status: http.StatusBadRequest, Msg: msgActivationIDLength(n)}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return &Error{Status: http.StatusBadRequest, Msg: MsgActivationIDIllegal}
		}
	}
	return nil
}
