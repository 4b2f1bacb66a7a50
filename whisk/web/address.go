package web

import (
	"net/url"
	"strings"

	"millrace/whisk"
)

const prefix = "/api/v1/web/"

// address is what the URL of a web action names.
type address struct {
	name      whisk.FullName
	extension extension
	// rest is what follows the action: empty, or a path that begins with a slash,
	// percent-encoded where a path needs it and nowhere else.
	rest string
}

// parseAddress reads the path of a request as it was sent, percent-encoded. ok is
// false if it cannot name an action.
func parseAddress(path string) (a address, ok bool) {
	path, ok = strings.CutPrefix(path, prefix)
	if !ok {
		return a, false
	}
	namespace, path, _ := strings.Cut(path, "/")
	pkg, path, _ := strings.Cut(path, "/")
	name := path
	if i := strings.IndexByte(path, '/'); i >= 0 {
		name, a.rest = path[:i], normal(path[i:])
	}
	if a.name.Namespace, ok = decoded(namespace); !ok {
		return a, false
	}
	if a.name.Package, ok = decoded(pkg); !ok {
		return a, false
	}
	if a.name.Package == "default" {
		a.name.Package = ""
	}
	if name, ok = decoded(name); !ok {
		return a, false
	}
	a.name.Name, a.extension = splitExtension(name)
	return a, whisk.ValidName(a.name.Name)
}

// decoded answers a segment without percent-encoding, if that is a valid name.
func decoded(segment string) (string, bool) {
	s, err := url.PathUnescape(segment)
	return s, err == nil && whisk.ValidName(s)
}

// splitExtension cuts a known extension off; without one it is .http.
func splitExtension(name string) (string, extension) {
	for e, suffix := range suffixes {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			return base, extension(e)
		}
	}
	return name, extHTTP
}

// normal answers a path with the one percent-encoding that OpenWhisk shows to
// actions: characters that a segment may hold stand for themselves, all others
// are encoded. An encoded slash stays one.
func normal(path string) string {
	clean := true
	for i := 0; i < len(path) && clean; i++ {
		clean = path[i] == '/' || plain(path[i])
	}
	if clean {
		return path
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(path)+16)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '/' {
			b = append(b, c)
			continue
		}
		if c == '%' && i+2 < len(path) {
			if raw, err := url.PathUnescape(path[i : i+3]); err == nil {
				c = raw[0]
				i += 2
			}
		}
		if plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// plain tells whether a segment of a path may hold c unencoded (RFC 3986, pchar).
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}
