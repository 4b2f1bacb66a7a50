package activation

import (
	"encoding/json"
	"strings"

	"millrace/whisk"
)

// FilterName is what Query.Name must be to select rec: "pkg/name" for an action
// of a package, with the package that the caller named if that is a binding;
// for all others the plain name.
func FilterName(rec *whisk.Activation) string {
	// A binding is ns/pkg, a path ns/name or ns/pkg/name.
	if _, pkg, ok := strings.Cut(text(rec.Annotations.Find("binding")), "/"); ok {
		return pkg + "/" + rec.Name
	}
	if _, rest, ok := strings.Cut(text(rec.Annotations.Find("path")), "/"); ok {
		if pkg, _, ok := strings.Cut(rest, "/"); ok {
			return pkg + "/" + rec.Name
		}
	}
	return rec.Name
}

// text is the string that a JSON value is, empty for any other value. Names
// seldom have escapes, and this runs once for each record written.
func text(v json.RawMessage) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if plain := v[1 : len(v)-1]; !strings.ContainsAny(string(plain), `"\`) {
		return string(plain)
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}
