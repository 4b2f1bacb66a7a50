package web

// Bounds of what is laid out: indentation must not make much of little.
const (
	prettyBytes = 64 << 10
	prettyDepth = 32
)

// pretty lays out valid JSON as OpenWhisk prints the results of web actions:
// members of objects on lines of their own, indented by two spaces a level, and
// arrays in a line. What is large stays as it is, and so does what lies deep.
func pretty(s string) string {
	if len(s) > prettyBytes {
		return s
	}
	p := printer{out: make([]byte, 0, len(s)+len(s)/2)}
	for i := 0; i < len(s); {
		i += p.take(s[i:])
	}
	return text(p.out)
}

type printer struct {
	out   []byte
	open  []byte // the brackets around, { or [
	depth int    // how many of them are {
	fresh bool   // the last token opened a bracket
}

// take prints the token that s begins with and answers its length.
func (p *printer) take(s string) int {
	switch c := s[0]; c {
	case ' ', '\n', '\t', '\r':
		return 1
	case '{', '[':
		p.begin()
		p.open = append(p.open, c)
		p.out = append(p.out, c)
		p.fresh = true
		if c == '{' {
			p.depth++
		}
	case '}', ']':
		p.open = p.open[:max(0, len(p.open)-1)]
		if c == '}' {
			p.depth--
		}
		if c == '}' && !p.fresh {
			p.line()
		}
		p.fresh = false
		p.out = append(p.out, c)
	case ',':
		p.out = append(p.out, c)
		if p.inObject() {
			p.line()
		} else {
			p.out = append(p.out, ' ')
		}
	case ':':
		p.out = append(p.out, ':', ' ')
	default:
		p.begin()
		n := tokenEnd(s)
		p.out = append(p.out, s[:n]...)
		return n
	}
	return 1
}

// begin comes before a value or a key.
func (p *printer) begin() {
	if p.fresh && p.inObject() {
		p.line()
	}
	p.fresh = false
}

func (p *printer) inObject() bool { return len(p.open) > 0 && p.open[len(p.open)-1] == '{' }

// line begins a line at the present depth.
func (p *printer) line() {
	if p.depth > prettyDepth {
		return
	}
	p.out = append(p.out, '\n')
	for range p.depth {
		p.out = append(p.out, ' ', ' ')
	}
}

// tokenEnd answers where the string, number or word that s begins with ends.
func tokenEnd(s string) int {
	if s[0] != '"' {
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case ' ', '\n', '\t', '\r', ',', ':', ']', '}':
				return i
			}
		}
		return len(s)
	}
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
