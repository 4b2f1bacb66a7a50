// Package textkeys makes of a decoded YAML document one that JSON can say: the keys of
// its mappings become texts.
package textkeys

import "fmt"

// Of answers v, decoded by gopkg.in/yaml.v3, with texts for keys such as the 200 of
// {200: ok}. It changes v.
func Of(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			v[key] = Of(member)
		}
	case map[any]any:
		out := make(map[string]any, len(v))
		for key, member := range v {
			out[fmt.Sprint(key)] = Of(member)
		}
		return out
	case []any:
		for i := range v {
			v[i] = Of(v[i])
		}
	}
	return v
}
