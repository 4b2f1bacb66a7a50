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
		return nil, fmt.Errorf("compiling pattern: %w", err)
	}
	re.MatchTimeout = matchTimeout
	return &Pattern{backtracking: re}, nil
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
