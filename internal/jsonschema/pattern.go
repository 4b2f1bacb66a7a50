package jsonschema

import (
	"fmt"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

// patternTimeout bounds one match of a pattern that needs backtracking.
const patternTimeout = 100 * time.Millisecond

// compilePattern takes a PCRE pattern: as Go's own engine if that knows it, which
// takes linear time, else as a backtracking one with a time limit.
func compilePattern(text string) (matcher, error) {
	if re, err := regexp.Compile(text); err == nil {
		return re, nil
	}
	re, err := regexp2.Compile(text, regexp2.None)
	if err != nil {
		return nil, fmt.Errorf("compiling pattern: %w", err)
	}
	re.MatchTimeout = patternTimeout
	return backtracking{re}, nil
}

// backtracking is a pattern with look-around, back-references and the like.
type backtracking struct{ re *regexp2.Regexp }

// MatchString searches s. A match that takes too long counts as none.
func (b backtracking) MatchString(s string) bool {
	ok, err := b.re.MatchString(s)
	return ok && err == nil
}
