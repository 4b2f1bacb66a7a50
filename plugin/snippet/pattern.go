package snippet

import (
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"millrace/internal/pcre"

	sandbox "millrace/internal/lua"
)

// Bounds of ngx.re.
const (
	keptPatterns = 128    // of one source
	maxMatches   = 10_000 // of one call of gmatch
	maxReplaced  = 200_000
)

// patternCache keeps the patterns of a source. They are compiled when they are first
// searched for.
type patternCache struct {
	mu       sync.Mutex
	patterns map[[2]string]*pcre.Pattern
}

func (p *patternCache) compile(text, options string) (*pcre.Pattern, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{text, options}
	if known := p.patterns[key]; known != nil {
		return known, nil
	}
	made, err := pcre.CompileOptions(text, options)
	if err != nil {
		return nil, err
	}
	if p.patterns == nil || len(p.patterns) >= keptPatterns {
		p.patterns = map[[2]string]*pcre.Pattern{}
	}
	p.patterns[key] = made
	return made, nil
}

// patternFunctions are those of ngx.re. Their last result is what went wrong.
var patternFunctions = map[string]luaFunc{
	"match":  matchPattern,
	"find":   findPattern,
	"gmatch": eachPattern,
	"sub":    func(s *sandbox.State) int { return substitute(s, 1) },
	"gsub":   func(s *sandbox.State) int { return substitute(s, maxReplaced) },
	"split":  splitPattern, // of the module ngx.re
}

// searching is one search of ngx.re.
type searching struct {
	subject string
	pattern *pcre.Pattern
	from    int
}

// searchOf reads (subject, pattern, options, ctx).
func searchOf(s *sandbox.State, options, ctx int) (*searching, error) {
	p, err := callHost(s).patterns.compile(textArg(s, 2), s.OptString(options, ""))
	if err != nil {
		return nil, err
	}
	from, subject := 0, textArg(s, 1)
	if t, ok := s.Get(ctx).(*lua.LTable); ok {
		from = max(0, int(lua.LVAsNumber(t.RawGetString("pos")))-1)
	}
	return &searching{subject, p, min(from, len(subject))}, nil
}

// find finds up to n matches.
func (r *searching) find(n int) ([][]int, error) {
	found, err := r.pattern.FindAll(r.subject[r.from:], n)
	if err != nil {
		return nil, err
	}
	for _, match := range found {
		for i := range match {
			if match[i] >= 0 {
				match[i] += r.from
			}
		}
	}
	return found, nil
}

// first finds the first match and notes in ctx where the next search is to begin;
// nil is none.
func (r *searching) first(s *sandbox.State, ctx int) ([]int, error) {
	found, err := r.find(1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if t, ok := s.Get(ctx).(*lua.LTable); ok {
		t.RawSetString("pos", lua.LNumber(found[0][1]+1))
	}
	return found[0], nil
}

func matchPattern(s *sandbox.State) int {
	r, err := searchOf(s, 3, 4)
	if err != nil {
		return failSoftly(s, err)
	}
	match, err := r.first(s, 4)
	switch {
	case err != nil:
		return failSoftly(s, err)
	case match == nil:
		return pushNil(s)
	}
	t, given := s.Get(5).(*lua.LTable)
	if !given {
		t = s.NewTable()
	}
	r.fill(t, match)
	s.Push(t)
	return 1
}

func findPattern(s *sandbox.State) int {
	r, err := searchOf(s, 3, 4)
	var match []int
	if err == nil {
		match, err = r.first(s, 4)
	}
	if err != nil {
		pushNil(s)
		return 1 + failSoftly(s, err)
	}
	group := 2 * s.OptInt(5, 0)
	if group < 0 || group+1 >= len(match) || match[group] < 0 {
		return pushNil(s)
	}
	push(s, match[group]+1)
	return 1 + push(s, match[group+1])
}

func eachPattern(s *sandbox.State) int {
	r, err := searchOf(s, 3, 4)
	var found [][]int
	if err == nil {
		found, err = r.find(maxMatches)
	}
	if err != nil {
		return failSoftly(s, err)
	}
	s.Push(s.Register(func(s *sandbox.State) int {
		if len(found) == 0 {
			return pushNil(s)
		}
		t := s.NewTable()
		r.fill(t, found[0])
		found = found[1:]
		s.Push(t)
		return 1
	}))
	return 1
}

// fill enters what ngx.re.match answers: the match at 0, groups by number and name,
// false for one that took no part.
func (r *searching) fill(t *lua.LTable, match []int) {
	names := r.pattern.Names()
	for i := range len(match) / 2 {
		var v lua.LValue = lua.LFalse
		if text, ok := pcre.Submatch(r.subject, match, i); ok {
			v = lua.LString(text)
		}
		t.RawSetInt(i, v)
		if i < len(names) && names[i] != "" {
			t.RawSetString(names[i], v)
		}
	}
}

// substitute is ngx.re.sub and gsub, for up to n matches.
func substitute(s *sandbox.State, n int) int {
	r, err := searchOf(s, 4, 0)
	if err != nil {
		pushNil(s)
		return 1 + failSoftly(s, err)
	}
	text, count := "", 0
	if fn, ok := s.Get(3).(*lua.LFunction); ok {
		text, count, err = r.replaceBy(s, fn, n)
	} else {
		text, count, err = r.pattern.ReplaceWithin(r.subject, textArg(s, 3), n, sandbox.MaxString)
		s.Charge(len(text))
	}
	if count == maxReplaced {
		s.RaiseError("too many matches")
	}
	if err != nil {
		pushNil(s)
		return 1 + failSoftly(s, err)
	}
	push(s, text)
	return 1 + push(s, count)
}

// replaceBy puts what a function answers in the place of each match.
func (r *searching) replaceBy(s *sandbox.State, fn *lua.LFunction, n int) (string, int, error) {
	found, err := r.find(n)
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	end := 0
	for _, match := range found {
		b.WriteString(r.subject[end:match[0]])
		t := s.NewTable()
		r.fill(t, match)
		s.Push(fn)
		s.Push(t)
		s.Call(1, 1)
		b.WriteString(lua.LVAsString(s.Get(-1)))
		s.Pop(1)
		if end = match[1]; b.Len() > sandbox.MaxString {
			s.RaiseError("string is too long")
		}
	}
	b.WriteString(r.subject[end:])
	return b.String(), len(found), nil
}

// splitPattern takes (subject, pattern, options, ctx, max) and answers a list of what
// is between the matches, with their groups.
func splitPattern(s *sandbox.State) int {
	r, err := searchOf(s, 3, 4)
	if err != nil {
		return failSoftly(s, err)
	}
	most := s.OptInt(5, 0) - 1
	if most < 0 || most > maxMatches {
		most = maxMatches
	}
	found, err := r.find(most)
	if err != nil {
		return failSoftly(s, err)
	}
	t, end := s.NewTable(), r.from
	for _, match := range found {
		if match[1] == match[0] && (match[0] == end || match[0] == len(r.subject)) {
			continue // nothing between two letters
		}
		t.Append(lua.LString(r.subject[end:match[0]]))
		for i := 1; i < len(match)/2; i++ {
			if text, ok := pcre.Submatch(r.subject, match, i); ok {
				t.Append(lua.LString(text))
			}
		}
		end = match[1]
	}
	t.Append(lua.LString(r.subject[end:]))
	s.Push(t)
	return 1
}
