package pcre

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// CompileOptions is Compile with options as ngx.re has them: of their letters i,
// m, s and x change what matches, a ties the pattern to the start; those that say
// how to compile (j, o, d, u, U, D) mean nothing here.
func CompileOptions(text, options string) (*Pattern, error) {
	flags := ""
	for _, o := range options {
		switch o {
		case 'i', 'm', 's', 'x':
			if !strings.ContainsRune(flags, o) {
				flags += string(o)
			}
		case 'a':
			text = `\A(?:` + text + `)`
		case 'j', 'o', 'd', 'u', 'U', 'D':
		default:
			return nil, fmt.Errorf("unknown option %q", string(o))
		}
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	return Compile(text)
}

// FindAll finds up to n matches in s, all if n is negative. Each is the offsets
// in bytes of the match and then of its groups, two numbers for each, −1 for a
// group that took no part. A search that takes too long is an error. In patterns
// that need backtracking, groups with names are numbered after those without.
func (p *Pattern) FindAll(s string, n int) ([][]int, error) {
	if p.linear != nil {
		return p.linear.FindAllStringSubmatchIndex(s, n), nil
	}
	began := time.Now()
	m, err := p.backtracking.FindStringMatch(s)
	var offsets []int
	var found [][]int
	for ; m != nil && err == nil && len(found) != n; m, err = p.backtracking.FindNextMatch(m) {
		if found == nil {
			offsets = byteOffsets(s)
		}
		if found = append(found, located(m, offsets)); time.Since(began) > searchTimeout {
			err = errSlow
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("searching: %w", err)
	}
	return found, nil
}

// byteOffsets answers where each rune of s begins, and its end; nil if each is a byte.
func byteOffsets(s string) []int {
	n := utf8.RuneCountInString(s)
	if n == len(s) {
		return nil
	}
	offsets := make([]int, 0, n+1)
	for i := range s {
		offsets = append(offsets, i)
	}
	return append(offsets, len(s))
}

// located answers the places of a match, which counts in runes.
func located(m *regexp2.Match, offsets []int) []int {
	groups := m.Groups()
	loc := make([]int, 0, 2*len(groups))
	for i := range groups {
		g := &groups[i]
		if len(g.Captures) == 0 {
			loc = append(loc, -1, -1)
			continue
		}
		begin, end := g.Index, g.Index+g.Length
		if offsets != nil {
			begin, end = offsets[begin], offsets[end]
		}
		loc = append(loc, begin, end)
	}
	return loc
}

// Names answers the names of the groups by their numbers, "" for one without.
func (p *Pattern) Names() []string {
	if p.linear != nil {
		return p.linear.SubexpNames()
	}
	numbers := p.backtracking.GetGroupNumbers()
	names := make([]string, len(numbers))
	for i, n := range numbers {
		if name := p.backtracking.GroupNameFromNumber(n); name != fmt.Sprint(n) {
			names[i] = name
		}
	}
	return names
}

// Submatch answers the text of group i of a match in s; ok is false if the group
// took no part or there is none.
func Submatch(s string, match []int, i int) (text string, ok bool) {
	if i < 0 || 2*i+1 >= len(match) || match[2*i] < 0 {
		return "", false
	}
	return s[match[2*i]:match[2*i+1]], true
}

// Replace puts replacement in the place of the first n matches, all if n is
// negative, and answers how many there were. In it $1 and ${1} stand for a group,
// $0 and $& for the match, $$ for a dollar sign.
func (p *Pattern) Replace(s, replacement string, n int) (string, int, error) {
	return p.ReplaceWithin(s, replacement, n, math.MaxInt)
}

// ErrLong is returned by ReplaceWithin.
var ErrLong = errors.New("the text would be too long")

// ReplaceWithin is Replace for a text of up to most bytes; a longer one is ErrLong.
func (p *Pattern) ReplaceWithin(s, replacement string, n, most int) (string, int, error) {
	found, err := p.FindAll(s, n)
	if err != nil || len(found) == 0 {
		return s, 0, err
	}
	var b strings.Builder
	end := 0
	for _, match := range found {
		b.WriteString(s[end:match[0]])
		appendReplacement(&b, s, replacement, match)
		if end = match[1]; b.Len()+len(s)-end > most {
			return "", 0, ErrLong
		}
	}
	b.WriteString(s[end:])
	return b.String(), len(found), nil
}

func appendReplacement(b *strings.Builder, s, replacement string, match []int) {
	for {
		i := strings.IndexByte(replacement, '$')
		if i < 0 || i == len(replacement)-1 {
			b.WriteString(replacement)
			return
		}
		b.WriteString(replacement[:i])
		rest := replacement[i+1:]
		group, n := groupNumber(rest)
		switch {
		case n > 0:
			text, _ := Submatch(s, match, group)
			b.WriteString(text)
		case rest[0] == '$':
			b.WriteByte('$')
			n = 1
		default:
			b.WriteByte('$')
		}
		replacement = rest[n:]
	}
}

// groupNumber reads what follows a dollar sign: a group and the length of its
// name, 0 if it is none.
func groupNumber(s string) (group, n int) {
	if s[0] == '&' {
		return 0, 1
	}
	digits, braces := s, 0
	if s[0] == '{' {
		digits, braces = s[1:], 2
	}
	for n < len(digits) && n < 3 && digits[n] >= '0' && digits[n] <= '9' {
		group = group*10 + int(digits[n]-'0')
		n++
	}
	if n == 0 || braces > 0 && (n == len(digits) || digits[n] != '}') {
		return 0, 0
	}
	return group, n + braces
}
