package apis

import (
	"errors"
	"net/url"
	"strings"
)

// node is a place in the tree of an API's paths, one level a segment. Text goes
// before a parameter, which stands for one segment.
type node struct {
	text      map[string]*node
	parameter *node
	actions   map[string]*action // by verb in upper case; nil: no path ends here
}

// maxSegments bounds the paths that are served.
const maxSegments = 64

var errPath = errors.New("not a path that is served")

// splitPath takes a percent-encoded path apart; a slash at the end counts for
// nothing. starts are the offsets of the segments in path. Empty segments and
// those that lead upwards, whoever may decode them later, are errors.
func splitPath(path string) (segments []string, starts []int, err error) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return nil, nil, nil
	}
	if path[0] != '/' || strings.Count(path, "/") > maxSegments {
		return nil, nil, errPath
	}
	n := strings.Count(path, "/")
	segments, starts = make([]string, 0, n), make([]int, 0, n)
	for at := 0; at < len(path); {
		raw, _, _ := strings.Cut(path[at+1:], "/")
		text, err := segment(raw)
		if err != nil {
			return nil, nil, err
		}
		segments, starts = append(segments, text), append(starts, at)
		at += 1 + len(raw)
	}
	if len(segments) != n {
		return nil, nil, errPath // an empty one at the end
	}
	return segments, starts, nil
}

func segment(raw string) (string, error) {
	text := raw
	if strings.IndexByte(raw, '%') >= 0 {
		var err error
		if text, err = url.PathUnescape(raw); err != nil {
			return "", errPath
		}
		if strings.IndexByte(text, 0) >= 0 {
			return "", errPath
		}
	}
	if text == "" {
		return "", errPath
	}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == "." || part == ".." {
			return "", errPath
		}
	}
	return text, nil
}

// add puts an operation at its path. Errors are refusals.
func (n *node) add(path, verb string, act *action) error {
	segments, _, err := splitPath(path)
	if err != nil || !strings.HasPrefix(path, "/") {
		return refusal(msgBadPath(path))
	}
	for _, s := range segments {
		if n = n.child(s); n == nil {
			return refusal(msgBadPath(path))
		}
	}
	if n.actions == nil {
		n.actions = map[string]*action{}
	}
	n.actions[verb] = act
	return nil
}

// child answers the node below n for a segment of a template, made if need be;
// nil if the segment is neither text nor one parameter.
func (n *node) child(segment string) *node {
	if !strings.ContainsAny(segment, "{}") {
		if n.text == nil {
			n.text = map[string]*node{}
		}
		if n.text[segment] == nil {
			n.text[segment] = &node{}
		}
		return n.text[segment]
	}
	if len(segment) < 3 || segment[0] != '{' || strings.IndexAny(segment[1:], "{}") != len(segment)-2 || segment[len(segment)-1] != '}' {
		return nil
	}
	if n.parameter == nil {
		n.parameter = &node{}
	}
	return n.parameter
}

// match answers the node of a path, or nil.
func (n *node) match(segments []string) *node {
	if len(segments) == 0 {
		if n.actions == nil {
			return nil
		}
		return n
	}
	if child := n.text[segments[0]]; child != nil {
		if found := child.match(segments[1:]); found != nil {
			return found
		}
	}
	if n.parameter == nil {
		return nil
	}
	return n.parameter.match(segments[1:])
}

// match answers the API with the longest base path that has the path, and the
// place in it.
func (s site) match(path string) (*api, *node) {
	segments, starts, err := splitPath(path)
	if err != nil {
		return nil, nil
	}
	starts = append(starts, len(strings.TrimSuffix(path, "/")))
	for i := len(segments); i >= 0; i-- {
		base := path[:starts[i]]
		if strings.IndexByte(base, '%') >= 0 {
			base = "/" + strings.Join(segments[:i], "/")
		}
		if base == "" {
			base = "/"
		}
		if p := s[base]; p != nil {
			if n := p.root.match(segments[i:]); n != nil {
				return p, n
			}
		}
	}
	return nil, nil
}
