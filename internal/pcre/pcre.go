// Package pcre compiles the patterns of configurations, which are written for
// PCRE: with Go's own engine if that knows everything in the pattern, since it
// takes linear time, else with a backtracking one that has a time limit.
package pcre

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/dlclark/regexp2/syntax"
)

// matchTimeout bounds one match of a pattern that needs backtracking, searchTimeout a
// search for all of them.
const (
	matchTimeout  = 100 * time.Millisecond
	searchTimeout = 10 * matchTimeout
)

var errSlow = errors.New("the search takes too long")

// Pattern is a compiled pattern. It may be used by several goroutines at once.
type Pattern struct {
	linear       *regexp.Regexp
	backtracking *regexp2.Regexp
}

// Compile reads a pattern.
func Compile(text string) (*Pattern, error) {
	if re, err := regexp.Compile(text); err == nil {
		return &Pattern{linear: re}, nil
	}
	re, err := regexp2.Compile(text, regexp2.None)
	if err != nil {
		var rewritten error
		if re, rewritten = regexp2.Compile(atomic(text), regexp2.None); rewritten != nil {
			return nil, compileError(text, err)
		}
	}
	re.MatchTimeout = matchTimeout
	return &Pattern{backtracking: re}, nil
}

// mistakes are in PCRE's words what may be wrong with a pattern.
var mistakes = map[syntax.ErrorCode]string{
	syntax.ErrMissingParen:          "missing closing parenthesis",
	syntax.ErrUnexpectedParen:       "unmatched closing parenthesis",
	syntax.ErrUnterminatedBracket:   "missing terminating ] for character class",
	syntax.ErrIllegalEndEscape:      `\ at end of pattern`,
	syntax.ErrMissingRepeatArgument: "quantifier does not follow a repeatable item",
	syntax.ErrReversedCharRange:     "range out of order in character class",
}

// compileError words what is wrong with a pattern as PCRE does, if it has words for it.
func compileError(text string, err error) error {
	var at *syntax.Error
	if errors.As(err, &at) && mistakes[at.Code] != "" {
		return fmt.Errorf(`pcre2_compile() failed: %s in "%s"`, mistakes[at.Code], text)
	}
	return fmt.Errorf("compiling pattern: %w", err)
}

// MatchString reports whether the pattern is found in s. A search that takes too
// long counts as not found.
func (p *Pattern) MatchString(s string) bool {
	if p.linear != nil {
		return p.linear.MatchString(s)
	}
	found, err := p.backtracking.MatchString(s)
	return found && err == nil
}
