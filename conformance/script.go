package conformance

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"golang.org/x/tools/txtar"
)

// testCase is one request of a script and what is expected of its answer.
type testCase struct {
	name                 string
	target, method, path string
	header               []field
	body                 string
	expect               []expectation
	eventually           bool
}

type field struct{ name, value string }

// expectation checks one thing of an answer, and may set a variable.
type expectation interface {
	check(res *response, vars map[string]string) error
}

// origins are what names of cases begin with: the tests of the originals, and
// the collected facts.
var origins = []string{"t/", "tests/", "spec/"}

func parse(script *txtar.Archive) (cases []testCase, err error) {
	files := script.Files
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
		cases = append(cases, c)
	}
	return cases, nil
}

func (c *testCase) parseRequest(text string) error {
	if !slices.ContainsFunc(origins, func(o string) bool { return strings.HasPrefix(c.name, o) }) {
		return fmt.Errorf("the name does not begin with an origin (%s)", strings.Join(origins, " "))
	}
	head, body, _ := strings.Cut(text, "\n\n")
	c.body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	first := strings.Fields(lines[0])
	if len(first) != 3 || !slices.Contains([]string{"gateway", "admin", "whisk", "apis"}, first[0]) {
		return fmt.Errorf("bad request line %q", lines[0])
	}
	c.target, c.method, c.path = first[0], first[1], first[2]
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return fmt.Errorf("bad header line %q", line)
		}
		c.header = append(c.header, field{name, value})
	}
	return nil
}

func (c *testCase) parseExpect(text string) error {
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "json "); ok {
			c.expect = append(c.expect, expectJSON(rest))
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

func parseLine(line string) (expectation, error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "status":
		var want expectStatus
		for _, code := range strings.Fields(rest) {
			n, err := strconv.Atoi(code)
			if err != nil {
				return nil, err
			}
			want = append(want, n)
		}
		return want, nil
	case "header":
		return parseHeader(rest)
	case "no":
		if name, ok := strings.CutPrefix(rest, "header "); ok {
			return expectNoHeader(name), nil
		}
	case "body":
		if pattern, ok := strings.CutPrefix(rest, "~ "); ok {
			re, err := regexp.Compile(pattern)
			return expectBodyMatch{re}, err
		}
		want, err := strconv.Unquote(rest)
		return expectBody(want), err
	case "capture":
		if name, path, ok := strings.Cut(rest, " "); ok {
			return capture{name, path}, nil
		}
	}
	return nil, errors.New("no such expectation")
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

type expectStatus []int

func (e expectStatus) check(res *response, _ map[string]string) error {
	if !slices.Contains(e, res.status) {
		return fmt.Errorf("status %d, want %v", res.status, []int(e))
	}
	return nil
}

type expectHeader field

func (e expectHeader) check(res *response, vars map[string]string) error {
	if got, want := res.header.Get(e.name), replace(e.value, vars); got != want {
		return fmt.Errorf("header %s is %q, want %q", e.name, got, want)
	}
	return nil
}

type expectHeaderMatch struct {
	name    string
	pattern *regexp.Regexp
}

func (e expectHeaderMatch) check(res *response, _ map[string]string) error {
	if got := res.header.Get(e.name); !e.pattern.MatchString(got) {
		return fmt.Errorf("header %s is %q, want a match of %s", e.name, got, e.pattern)
	}
	return nil
}

type expectNoHeader string

func (e expectNoHeader) check(res *response, _ map[string]string) error {
	if got := res.header.Values(string(e)); len(got) > 0 {
		return fmt.Errorf("header %s is there: %q", string(e), got)
	}
	return nil
}

type expectBody string

func (e expectBody) check(res *response, vars map[string]string) error {
	if want := replace(string(e), vars); string(res.body) != want {
		return fmt.Errorf("the body is not %q", want)
	}
	return nil
}

type expectBodyMatch struct{ pattern *regexp.Regexp }

func (e expectBodyMatch) check(res *response, _ map[string]string) error {
	if !e.pattern.Match(res.body) {
		return fmt.Errorf("the body does not match %s", e.pattern)
	}
	return nil
}

type capture struct{ name, path string }

func (e capture) check(res *response, vars map[string]string) error {
	found := gjson.GetBytes(res.body, e.path)
	if !found.Exists() {
		return fmt.Errorf("the body has no %s", e.path)
	}
	vars[e.name] = found.String()
	return nil
}
