package route

import (
	"bytes"
	"strings"
)

// Param is a path parameter of the route that a Query was matched to. Value is a
// part of the query's path.
type Param struct {
	Name  string
	Value []byte
}

// token is a piece of a path pattern with parameters: a text, a parameter, which is
// a whole segment, or a *.
type token struct {
	text, param string
}

// parseParams answers where the first parameter begins and what the pattern is made
// of from there on; -1 if it has none.
func parseParams(uri string) (begin int, tokens []token) {
	begin = strings.Index(uri, "/:") + 1
	if begin == 0 || strings.IndexByte(uri[:begin], '*') >= 0 {
		return -1, nil
	}
	for rest := uri[begin:]; rest != ""; {
		switch {
		case rest[0] == ':' && (len(tokens) == 0 || strings.HasSuffix(tokens[len(tokens)-1].text, "/")):
			end := strings.IndexByte(rest, '/')
			if end < 0 {
				end = len(rest)
			}
			tokens = append(tokens, token{param: rest[1:end]})
			rest = rest[end:]
		case rest[0] == '*':
			tokens = append(tokens, token{})
			rest = rest[1:]
		default:
			end := len(rest)
			if i := strings.Index(rest, "/:"); i >= 0 {
				end = i + 1
			}
			if i := strings.IndexByte(rest[1:], '*'); i >= 0 {
				end = min(end, i+1)
			}
			tokens = append(tokens, token{text: rest[:end]})
			rest = rest[end:]
		}
	}
	return begin, tokens
}

// matchTokens checks a path against what is left of a pattern and enters its
// parameters in q.
func matchTokens(tokens []token, path []byte, q *Query) (ext []byte, ok bool) {
	for len(tokens) > 0 {
		t := &tokens[0]
		tokens = tokens[1:]
		switch {
		case t.text != "":
			if len(path) < len(t.text) || string(path[:len(t.text)]) != t.text {
				return nil, false
			}
			path = path[len(t.text):]
		case t.param != "":
			end := bytes.IndexByte(path, '/')
			if end < 0 {
				end = len(path)
			}
			if end == 0 {
				return nil, false
			}
			q.Params = append(q.Params, Param{t.param, path[:end]})
			path = path[end:]
		case len(tokens) == 0:
			return path, true
		default:
			return matchStar(tokens, path, q)
		}
	}
	return nil, len(path) == 0
}

// matchStar tries what an inner * may stand for.
func matchStar(tokens []token, path []byte, q *Query) (ext []byte, ok bool) {
	have := len(q.Params)
	for i := range len(path) + 1 {
		if ext, ok := matchTokens(tokens, path[i:], q); ok {
			return ext, true
		}
		q.Params = q.Params[:have]
	}
	return nil, false
}
