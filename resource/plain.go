package resource

import "bytes"

// isPlain tells, of a resource as the store keeps it, that it can be read as it is:
// nothing in it is encrypted, a reference, or a number that Go's integers would not
// take. Most of a large configuration is so, and reading it costs half as much then.
func isPlain(key string, raw []byte) bool {
	folder, _, _ := SplitKey(key)
	switch folder {
	case "routes", "services", "upstreams":
	default:
		return false
	}
	for _, special := range []string{"$", `\`, `"plugins"`, `"tls"`} {
		if bytes.Contains(raw, []byte(special)) {
			return false
		}
	}
	return !hasFraction(raw)
}

// hasFraction tells whether a number outside texts is written with a fraction or an
// exponent. There is no backslash in raw.
func hasFraction(raw []byte) bool {
	inText := false
	for i, c := range raw {
		switch {
		case c == '"':
			inText = !inText
		case !inText && (c == '.' || (c == 'e' || c == 'E') && i > 0 && raw[i-1] >= '0' && raw[i-1] <= '9'):
			return true
		}
	}
	return false
}
