package plugin

import (
	"errors"
	"strings"

	"millrace/internal/expr"
)

// maxGraphqlDepth is how deep the selections of a request may nest.
const maxGraphqlDepth = 1000

var errGraphql = errors.New("not a GraphQL document")

// graphqlVar is graphql_operation, graphql_name and graphql_root_fields, of the first
// definition of the document. They are absent if the request holds no document.
func (c *Context) graphqlVar(what string) expr.Value {
	first, err := c.graphql()
	if err != nil {
		return expr.Value{}
	}
	switch what {
	case "operation":
		return present(first.operation)
	case "name":
		return expr.Text(first.name)
	case "root_fields":
		return expr.Value{List: first.fields, Present: true}
	}
	return expr.Value{}
}

// graphql reads the argument query of a GET or the body of a POST: its member query if
// it is JSON, else the whole of it.
func (c *Context) graphql() (graphqlDefinition, error) {
	switch c.Request.Method() {
	case "GET":
		doc := c.argVar("query").Text
		if int64(len(doc)) > c.Limits.graphql() {
			doc = ""
		}
		return parseGraphql(doc)
	case "POST":
		if v := c.bodyOf(c.Limits.graphql()); v != nil {
			return v.graphqlOf()
		}
	}
	return graphqlDefinition{}, errGraphql
}

func (v *bodyVars) graphqlOf() (graphqlDefinition, error) {
	if !v.read {
		doc := string(v.of)
		if v.kind == "application/json" {
			doc = v.json.Get("query").String()
		}
		v.read = true
		v.graphql, v.graphqlErr = parseGraphql(doc)
	}
	return v.graphql, v.graphqlErr
}

// graphqlDefinition is an operation, or a fragment, which has no operation.
type graphqlDefinition struct {
	operation, name string
	fields          []string // of the outermost selection; names, not aliases
}

// parseGraphql answers the first definition of a document. Types are not read: only
// what selects data is a request.
func parseGraphql(doc string) (first graphqlDefinition, err error) {
	p := graphqlParser{doc: doc}
	p.next()
	for n := 0; p.token != "" || n == 0; n++ {
		d := p.definition()
		if p.bad {
			return first, errGraphql
		}
		if n == 0 {
			first = d
		}
	}
	return first, nil
}

// graphqlParser reads one token ahead; bad is set for good by the first error, after
// which there are no more tokens.
type graphqlParser struct {
	doc   string // what follows token
	token string // a name, a punctuator, the quote of a string, a digit; none at the end
	depth int
	bad   bool
}

func (p *graphqlParser) fail() { p.bad, p.token, p.doc = true, "", "" }

// next reads a token; of strings and numbers no more is kept than what they begin with.
func (p *graphqlParser) next() {
	p.skipIgnored()
	switch {
	case p.doc == "":
		p.token = ""
	case nameChar(p.doc[0]):
		n := 1
		for n < len(p.doc) && nameChar(p.doc[n]) {
			n++
		}
		p.take(n)
	case strings.HasPrefix(p.doc, "..."):
		p.take(3)
	case p.doc[0] == '"':
		p.text()
	case strings.IndexByte("!$&()-.:=@[]{}|+", p.doc[0]) >= 0:
		p.take(1)
	default:
		p.fail()
	}
}

func (p *graphqlParser) take(n int) { p.token, p.doc = p.doc[:n], p.doc[n:] }

// skipIgnored skips what stands between tokens: white space, commas, comments.
func (p *graphqlParser) skipIgnored() {
	for {
		p.doc = strings.TrimLeft(p.doc, " \t\r\n,\uFEFF")
		if !strings.HasPrefix(p.doc, "#") {
			return
		}
		end := strings.IndexAny(p.doc, "\r\n")
		if end < 0 {
			end = len(p.doc)
		}
		p.doc = p.doc[end:]
	}
}

// text reads a string, in one or in three quotes.
func (p *graphqlParser) text() {
	if rest, ok := strings.CutPrefix(p.doc, `"""`); ok {
		end := strings.Index(strings.ReplaceAll(rest, `\"""`, "    "), `"""`)
		if end < 0 {
			p.fail()
			return
		}
		p.token, p.doc = `"`, rest[end+3:]
		return
	}
	for i := 1; i < len(p.doc) && p.doc[i] != '\n'; i++ {
		switch p.doc[i] {
		case '\\':
			i++
		case '"':
			p.token, p.doc = `"`, p.doc[i+1:]
			return
		}
	}
	p.fail()
}

// accept reads a token if it is the next.
func (p *graphqlParser) accept(token string) bool {
	if p.token != token {
		return false
	}
	p.next()
	return true
}

// name reads a name.
func (p *graphqlParser) name() string {
	name := p.token
	if !p.atName() {
		p.fail()
		return ""
	}
	p.next()
	return name
}

func (p *graphqlParser) atName() bool {
	return p.token != "" && nameChar(p.token[0]) && (p.token[0] < '0' || p.token[0] > '9')
}

func (p *graphqlParser) definition() (d graphqlDefinition) {
	switch word := p.token; word {
	case "{":
		d.operation = "query"
	case "query", "mutation", "subscription":
		p.next()
		d.operation = word
		if p.atName() {
			d.name = p.name()
		}
		p.arguments()
	case "fragment":
		p.next()
		d.name = p.name()
		p.typeCondition()
	default:
		p.fail()
		return d
	}
	p.directives()
	d.fields = p.selections()
	return d
}

func (p *graphqlParser) typeCondition() {
	if !p.accept("on") {
		p.fail()
	}
	p.name()
}

// selections reads what stands in braces, and answers its names.
func (p *graphqlParser) selections() []string {
	if p.depth++; p.depth > maxGraphqlDepth || !p.accept("{") {
		p.fail()
		return nil
	}
	names := []string{}
	for !p.bad && !p.accept("}") {
		if name := p.selection(); name != "" {
			names = append(names, name)
		}
	}
	p.depth--
	return names
}

// selection reads a field or a fragment; a fragment in place has no name.
func (p *graphqlParser) selection() (name string) {
	if p.accept("...") {
		switch {
		case p.token == "on":
			p.typeCondition()
		case p.atName():
			name = p.name()
			p.directives()
			return name
		}
		p.directives()
		p.selections()
		return ""
	}
	if name = p.name(); p.accept(":") {
		name = p.name()
	}
	p.arguments()
	p.directives()
	if p.token == "{" {
		p.selections()
	}
	return name
}

func (p *graphqlParser) directives() {
	for p.accept("@") {
		p.name()
		p.arguments()
	}
}

// arguments skips what stands in parentheses, if anything does.
func (p *graphqlParser) arguments() {
	if p.token != "(" {
		return
	}
	for open := 0; !p.bad; {
		switch p.token {
		case "(", "[", "{":
			open++
		case ")", "]", "}":
			open--
		case "":
			p.fail()
		}
		p.next()
		if open == 0 {
			return
		}
	}
}
