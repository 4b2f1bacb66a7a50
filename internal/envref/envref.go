// Package envref replaces ${{NAME}} and ${{NAME:=default}} in a text by variables
// of the environment, as APISIX's configuration files have them.
package envref

import (
	"fmt"
	"regexp"
	"strings"
)

// reference is lazy about its end: a default may hold single braces.
var reference = regexp.MustCompile(`(?s)\$\{\{\s*(\w.*?)\s*\}\}`)

// Expand answers text with its references replaced; used tells whether there were
// any. A variable that is set to nothing counts. The error names the first one
// that is neither set nor has a default.
func Expand(text string, lookup func(name string) (string, bool)) (expanded string, used bool, err error) {
	if !strings.Contains(text, "${{") {
		return text, false, nil
	}
	expanded = reference.ReplaceAllStringFunc(text, func(match string) string {
		used = true
		name, otherwise, hasDefault := strings.Cut(reference.FindStringSubmatch(match)[1], ":=")
		if value, ok := lookup(strings.TrimSpace(name)); ok {
			return value
		}
		if !hasDefault && err == nil {
			err = fmt.Errorf("failed to handle configuration: can't find environment variable %s", name)
		}
		return strings.TrimSpace(otherwise)
	})
	return expanded, used, err
}
