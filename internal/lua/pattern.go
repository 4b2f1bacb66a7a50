package lua

import "bytes"

// Bounds of one search for a pattern.
const (
	maxSteps    = 2_000_000
	maxDepth    = 200
	maxCaptures = 32
)

// What the length of a capture may be beside one.
const (
	captureOpen     = -1
	capturePosition = -2
)

// capture is a part of the subject that a pattern set aside.
type capture struct{ start, length int }

// matcher matches Lua patterns, as the manual of Lua 5.1 has them, in a bounded
// number of steps.
type matcher struct {
	src, pat string
	captures []capture
	depth    int
	steps    int
	fail     func(text string) // does not return
}

// match answers where the match of the pattern from p on that begins at s ends, -1
// if there is none.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxDepth {
		m.fail("pattern too complex")
	}
	defer func() { m.depth-- }()
	for {
		m.step()
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			return m.open(s, p)
		case ')':
			return m.close(s, p)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				next, end, special := m.special(s, p)
				if special {
					if next < 0 {
						return -1
					}
					s, p = next, end
					continue
				}
			}
		}
		end := m.classEnd(p)
		quantifier := byte(0)
		if end < len(m.pat) {
			quantifier = m.pat[end]
		}
		switch quantifier {
		case '?':
			if m.single(s, p, end) {
				if r := m.match(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.longest(s, p, end)
		case '+':
			if !m.single(s, p, end) {
				return -1
			}
			return m.longest(s+1, p, end)
		case '-':
			return m.shortest(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
}

func (m *matcher) step() {
	if m.steps++; m.steps > maxSteps {
		m.fail("pattern takes too long")
	}
}

func (m *matcher) open(s, p int) int {
	length, next := captureOpen, p+1
	if next < len(m.pat) && m.pat[next] == ')' {
		length, next = capturePosition, p+2
	}
	if len(m.captures) >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures = append(m.captures, capture{s, length})
	n := len(m.captures)
	r := m.match(s, next)
	if r < 0 {
		m.captures = m.captures[:n-1]
	}
	return r
}

func (m *matcher) close(s, p int) int {
	for i := len(m.captures) - 1; i >= 0; i-- {
		if m.captures[i].length != captureOpen {
			continue
		}
		m.captures[i].length = s - m.captures[i].start
		r := m.match(s, p+1)
		if r < 0 {
			m.captures[i].length = captureOpen
		}
		return r
	}
	m.fail("invalid pattern capture")
	return -1
}

// special matches %b, %f and %1; next is -1 if it does not match.
func (m *matcher) special(s, p int) (next, end int, special bool) {
	switch c := m.pat[p+1]; {
	case c == 'b':
		return m.balance(s, p+2), p + 4, true
	case c == 'f':
		p += 2
		if p >= len(m.pat) || m.pat[p] != '[' {
			m.fail("missing '[' after '%f' in pattern")
		}
		end := m.classEnd(p)
		before, here := byte(0), byte(0)
		if s > 0 {
			before = m.src[s-1]
		}
		if s < len(m.src) {
			here = m.src[s]
		}
		if m.inSet(before, p, end-1) || !m.inSet(here, p, end-1) {
			return -1, 0, true
		}
		return s, end, true
	case c >= '0' && c <= '9':
		i := int(c) - '1'
		if i < 0 || i >= len(m.captures) || m.captures[i].length == captureOpen {
			m.fail("invalid capture index")
		}
		if m.captures[i].length < 0 {
			return -1, 0, true
		}
		text := m.src[m.captures[i].start : m.captures[i].start+m.captures[i].length]
		if len(m.src)-s < len(text) || m.src[s:s+len(text)] != text {
			return -1, 0, true
		}
		return s + len(text), p + 2, true
	}
	return 0, 0, false
}

// balance matches %bxy, whose x and y stand at p.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	for level, i := 1, s+1; i < len(m.src); i++ {
		m.step()
		switch m.src[i] {
		case m.pat[p+1]:
			if level--; level == 0 {
				return i + 1
			}
		case m.pat[p]:
			level++
		}
	}
	return -1
}

func (m *matcher) longest(s, p, end int) int {
	n := 0
	for m.single(s+n, p, end) {
		m.step()
		n++
	}
	for ; n >= 0; n-- {
		if r := m.match(s+n, end+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, end int) int {
	for {
		if r := m.match(s, end+1); r >= 0 {
			return r
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

// classEnd answers where the single character class at p ends.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pat) {
			m.fail("malformed pattern (ends with '%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
			if p >= len(m.pat) {
				m.fail("malformed pattern (missing ']')")
			}
			if m.pat[p] == '%' {
				p++
			}
			p++
		}
		return p + 1
	}
	return p
}

// single tells whether the class from p to end holds the character at s.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	}
	return m.pat[p] == c
}

// inSet tells whether [set] holds c; the brackets stand at p and last.
func (m *matcher) inSet(c byte, p, last int) bool {
	in := true
	if p++; m.pat[p] == '^' {
		in = false
		p++
	}
	for ; p < last; p++ {
		switch {
		case m.pat[p] == '%':
			if p++; inClass(c, m.pat[p]) {
				return in
			}
		case p+2 < last && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return in
			}
			p += 2
		case m.pat[p] == c:
			return in
		}
	}
	return !in
}

// inClass tells whether the class %class holds c.
func inClass(c, class byte) bool {
	lower := class | 0x20
	in := false
	switch lower {
	case 'a':
		in = isLetter(c)
	case 'd':
		in = isDigit(c)
	case 'l':
		in = c >= 'a' && c <= 'z'
	case 'u':
		in = c >= 'A' && c <= 'Z'
	case 's':
		in = c == ' ' || c >= '\t' && c <= '\r'
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'p':
		in = c > 0x20 && c < 0x7f && !isLetter(c) && !isDigit(c)
	case 'w':
		in = isLetter(c) || isDigit(c)
	case 'x':
		in = bytes.IndexByte([]byte("0123456789abcdefABCDEF"), c) >= 0
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isLetter(class) {
		return class == c
	}
	return in == (class == lower)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
