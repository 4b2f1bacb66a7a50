package conformance

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
)

// script is a parsed script: files for the server it wants, if any, and its cases.
type script struct {
	name  string // its path without the extension
	files map[string]string
	cases []testCase
}

// testCase is one request of a script and what is expected of its answer.
type testCase struct {
	name                 string
	target, method, path string
	connection
	header     []field
	body       string
	expect     []expectation
	eventually bool
}

// connection is how a request is carried: what the indented lines below its first
// line say, and its last words.
type connection struct {
	over        string // h1, h2 or h3
	sni         string // the server name asked for; none is sent without
	alpn        []string
	tlsVersion  string
	certificate string   // names in the client's certificate; none is shown without
	stranger    bool     // an authority signed it that nobody knows
	base64      []string // members of the JSON body that are sent in Base64
}

type field struct{ name, value string }

// origins are what names of cases begin with: the tests of the originals, and
// the collected facts.
var origins = []string{"t/", "tests/", "spec/"}

func hasOrigin(name string) bool {
	return slices.ContainsFunc(origins, func(o string) bool { return strings.HasPrefix(name, o) })
}

func parse(text *txtar.Archive) (*script, error) {
	s := &script{files: map[string]string{}}
	files := text.Files
	for len(files) > 0 && strings.HasSuffix(files[0].Name, ".yaml") && !hasOrigin(files[0].Name) {
		s.files[files[0].Name], files = string(files[0].Data), files[1:]
	}
	if len(files) == 0 || len(files)%2 != 0 {
		return nil, errors.New("a script has pairs of a case and its expect")
	}
	for i := 0; i < len(files); i += 2 {
		if files[i+1].Name != "expect" {
			return nil, fmt.Errorf("%q is not followed by expect", files[i].Name)
		}
		c := testCase{name: files[i].Name}
		err := c.parseRequest(string(files[i].Data))
		if err == nil {
			err = c.parseExpect(string(files[i+1].Data))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		s.cases = append(s.cases, c)
	}
	return s, nil
}

func (c *testCase) parseRequest(text string) error {
	if !hasOrigin(c.name) {
		return fmt.Errorf("the name does not begin with an origin (%s)", strings.Join(origins, " "))
	}
	first, rest, _ := strings.Cut(text, "\n")
	if err := c.parseFirst(first); err != nil {
		return err
	}
	for {
		line, after, more := strings.Cut(rest, "\n")
		if !more || !strings.HasPrefix(line, "  ") {
			break
		}
		if err := c.parseConnection(strings.TrimSpace(line)); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		rest = after
	}
	if c.method == sendBytes {
		return c.parseBytes(rest)
	}
	head, body, _ := strings.Cut("\n"+rest, "\n\n")
	c.body = strings.TrimSuffix(body, "\n")
	for line := range strings.Lines(strings.TrimPrefix(head, "\n")) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			return fmt.Errorf("bad header line %q", line)
		}
		c.header = append(c.header, field{name, value})
	}
	return nil
}

// parseFirst reads target, method, request target and perhaps the version of HTTP:
// gateway GET / over h2.
func (c *testCase) parseFirst(line string) error {
	words := strings.Fields(line)
	if n := len(words); n > 2 && words[n-2] == "over" && slices.Contains([]string{"h1", "h2", "h3"}, words[n-1]) {
		c.over, words = words[n-1], words[:n-2]
	}
	if len(words) == 2 && words[1] == sendBytes {
		words = append(words, "")
	}
	if len(words) != 3 || !slices.Contains(parts, words[0]) {
		return fmt.Errorf("bad request line %q", line)
	}
	c.target, c.method, c.path = words[0], words[1], words[2]
	return nil
}

func (c *testCase) parseConnection(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "sni":
		c.sni = rest
	case "alpn":
		c.alpn = strings.Fields(rest)
	case "base64":
		c.base64 = strings.Fields(rest)
	case "tls":
		if _, known := tlsVersions[rest]; !known {
			return errors.New("no such version of TLS")
		}
		c.tlsVersion = rest
	case "certificate":
		c.certificate, c.stranger = rest, false
	case "stranger":
		c.certificate, c.stranger = rest, true
	default:
		return errors.New("no such word about a connection")
	}
	return nil
}

// parseBytes reads lines that are Go strings, which are sent one after the other.
func (c *testCase) parseBytes(text string) error {
	for line := range strings.Lines(text) {
		part, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			return fmt.Errorf("%q is no quoted string", strings.TrimSpace(line))
		}
		c.body += part
	}
	return nil
}

func (c *testCase) parseExpect(text string) error {
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "json "); ok {
			c.expect = append(c.expect, expectJSON{want: rest})
			break
		}
		if word, rest, _ := strings.Cut(text, " "); word == "at" || word == "decoded" {
			path, rest, _ := strings.Cut(rest, " ")
			c.expect = append(c.expect, expectJSON{path: path, decoded: word == "decoded", want: rest})
			break
		}
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		if line == "" {
			continue
		}
		if line == "eventually" {
			c.eventually = true
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		c.expect = append(c.expect, e)
	}
	if len(c.expect) == 0 {
		return errors.New("nothing is expected")
	}
	return nil
}

// parseLine reads an expectation of one line.
func parseLine(line string) (expectation, error) {
	word, rest, _ := strings.Cut(line, " ")
	if read := words[word]; read != nil {
		return read(rest)
	}
	return nil, errors.New("no such expectation")
}

// words are what lines of expectations begin with.
var words = map[string]func(rest string) (expectation, error){
	"status":      parseStatus,
	"header":      parseHeader,
	"no":          parseNone,
	"protocol":    func(rest string) (expectation, error) { return expectProtocol(rest), nil },
	"alpn":        func(rest string) (expectation, error) { return expectALPN(rest), nil },
	"tls":         func(rest string) (expectation, error) { return expectTLS(rest), nil },
	"certificate": func(rest string) (expectation, error) { return expectCertificate(rest), nil },
	"closed":      func(string) (expectation, error) { return expectClosed{}, nil },
	"body":        textOf(func(res *response) (string, []byte) { return "the body", res.body }),
	"received":    textOf(func(res *response) (string, []byte) { return "what was received", res.received }),
	"answers": func(rest string) (expectation, error) {
		n, err := strconv.Atoi(rest)
		return expectAnswers(n), err
	},
	"capture": func(rest string) (expectation, error) {
		name, path, ok := strings.Cut(rest, " ")
		if !ok {
			return nil, errors.New("a name and a path are captured")
		}
		return capture{name, path}, nil
	},
}

func parseStatus(text string) (expectation, error) {
	var want expectStatus
	for _, code := range strings.Fields(text) {
		n, err := strconv.Atoi(code)
		if err != nil {
			return nil, err
		}
		want = append(want, n)
	}
	return want, nil
}

func parseHeader(text string) (expectation, error) {
	if name, pattern, ok := strings.Cut(text, " ~ "); ok && !strings.Contains(name, ": ") {
		re, err := regexp.Compile(pattern)
		return expectHeaderMatch{name, re}, err
	}
	name, value, ok := strings.Cut(text, ": ")
	if !ok {
		return nil, errors.New("neither a value nor a pattern")
	}
	return expectHeader{name, value}, nil
}

// parseNone reads what is not to be there.
func parseNone(text string) (expectation, error) {
	if name, ok := strings.CutPrefix(text, "header "); ok {
		return expectNoHeader(name), nil
	}
	if text == "answer" {
		return expectNoAnswer{}, nil
	}
	return nil, errors.New("neither header nor answer")
}

// textOf reads the expectation of a text: a quoted string, or ~ and a pattern.
func textOf(of func(*response) (string, []byte)) func(string) (expectation, error) {
	return func(text string) (expectation, error) {
		if pattern, ok := strings.CutPrefix(text, "~ "); ok {
			re, err := regexp.Compile(pattern)
			return expectMatch{of, re}, err
		}
		want, err := strconv.Unquote(text)
		return expectText{of, want}, err
	}
}
