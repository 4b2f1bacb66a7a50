package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// expectJSON is the JSON that a body must be, or what is at a path of it, be it in
// Base64; see match.
type expectJSON struct {
	path    string // empty for all of it
	decoded bool
	want    string
}

func (e expectJSON) check(res *response, vars *variables) error {
	text := res.body
	if e.path != "" {
		path := vars.expand(e.path)
		found := gjson.GetBytes(text, path)
		if !found.Exists() {
			return fmt.Errorf("the body has no %s", path)
		}
		text = []byte(found.Raw)
		if e.decoded {
			var err error
			if text, err = base64.StdEncoding.DecodeString(found.String()); err != nil {
				return fmt.Errorf("%s of the body: %w", e.path, err)
			}
		}
	}
	var want, got any
	if err := json.Unmarshal([]byte(vars.expand(e.want)), &want); err != nil {
		return fmt.Errorf("the script's JSON: %w", err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return match("", want, got)
}

// match compares JSON values. They must be equal, but in want some texts stand
// for more:
//
//	"<any>"        any value
//	"<number>"     any number
//	"<~ regexp>"   any text that matches
//	"...": "..."   in an object: it may have further members
//	"..."          at the end of an array: it may have further elements
func match(path string, want, got any) error {
	switch w := want.(type) {
	case string:
		return matchText(path, w, got)
	case map[string]any:
		return matchObject(path, w, got)
	case []any:
		return matchArray(path, w, got)
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%s is %v, want %v", at(path), got, want)
	}
	return nil
}

func at(path string) string {
	if path == "" {
		return "the body"
	}
	return path
}

func matchText(path, want string, got any) error {
	text, isText := got.(string)
	switch pattern, isPattern := strings.CutPrefix(want, "<~ "); {
	case want == "<any>":
		return nil
	case want == "<number>":
		if _, ok := got.(float64); ok {
			return nil
		}
	case isPattern && isText:
		re, err := regexp.Compile(strings.TrimSuffix(pattern, ">"))
		if err != nil {
			return err
		}
		if re.MatchString(text) {
			return nil
		}
	case isText && text == want:
		return nil
	}
	return fmt.Errorf("%s is %v, want %q", at(path), got, want)
}

func matchObject(path string, want map[string]any, got any) error {
	object, ok := got.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is %v, want an object", at(path), got)
	}
	_, open := want["..."]
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if key == "..." {
			continue
		}
		member, ok := object[key]
		if !ok {
			return fmt.Errorf("%s.%s is missing", path, key)
		}
		if err := match(path+"."+key, want[key], member); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if _, known := want[key]; !known && !open {
			return fmt.Errorf("%s.%s is not expected: %v", path, key, object[key])
		}
	}
	return nil
}

func matchArray(path string, want []any, got any) error {
	array, ok := got.([]any)
	if !ok {
		return fmt.Errorf("%s is %v, want an array", at(path), got)
	}
	open := len(want) > 0 && want[len(want)-1] == "..."
	if open {
		want = want[:len(want)-1]
	}
	if len(array) < len(want) || len(array) > len(want) && !open {
		return fmt.Errorf("%s has %d elements, want %d", at(path), len(array), len(want))
	}
	for i := range want {
		if err := match(fmt.Sprintf("%s[%d]", path, i), want[i], array[i]); err != nil {
			return err
		}
	}
	return nil
}
