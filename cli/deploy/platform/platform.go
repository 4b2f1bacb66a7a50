// Package platform tells what the platform that a project goes to runs and
// allows, as its info document (GET /) says.
package platform

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// Info is what a platform says of itself. The nil Info is one that is not known.
type Info struct {
	families map[string][]runtime
	// limits by the name of the document's keys, memory and logs in bytes.
	limits map[string]json.Number
}

type runtime struct {
	Kind       string `json:"kind"`
	Default    bool   `json:"default"`
	Deprecated bool   `json:"deprecated"`
}

// Parse reads the document. One without runtimes knows none.
func Parse(doc json.RawMessage) (*Info, error) {
	var d struct {
		Runtimes map[string][]runtime   `json:"runtimes"`
		Limits   map[string]json.Number `json:"limits"`
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, err
	}
	return &Info{families: d.Runtimes, limits: d.Limits}, nil
}

// Kinds are all that can be asked for, sorted.
func (i *Info) Kinds() []string {
	var out []string
	if i != nil {
		for _, versions := range i.families {
			for _, v := range versions {
				if !v.Deprecated {
					out = append(out, v.Kind)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// Resolve answers the kind that a file means by the name of a runtime: a kind, the
// default of a family (nodejs:default) or a family alone. It tells whether the
// platform has it; one that is not known is taken to have all.
func (i *Info) Resolve(name string) (kind string, ok bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	family, version, versioned := strings.Cut(name, ":")
	if !versioned {
		version = "default"
	}
	if i == nil {
		return family + ":" + version, true
	}
	versions, known := i.families[family]
	if version == "default" {
		return family + ":default", known && len(versions) > 0
	}
	for _, v := range versions {
		if v.Kind == name && !v.Deprecated {
			return v.Kind, true
		}
	}
	return "", false
}

// FamilyOf answers the family that runs a file, by its extension; empty if none does.
func FamilyOf(file string) string {
	return map[string]string{
		".js": "nodejs", ".mjs": "nodejs", ".cjs": "nodejs", ".py": "python", ".swift": "swift", ".php": "php", ".rb": "ruby",
		".go": "go", ".java": "java", ".jar": "java", ".rs": "rust", ".cs": "dotnet", ".ts": "deno", ".bal": "ballerina",
	}[strings.ToLower(path.Ext(file))]
}

// Extension is the opposite: what a file of a kind is called.
func Extension(kind string) string {
	family, _, _ := strings.Cut(kind, ":")
	return map[string]string{
		"nodejs": ".js", "python": ".py", "swift": ".swift", "php": ".php", "ruby": ".rb", "go": ".go", "java": ".jar",
		"rust": ".rs", "dotnet": ".cs", "deno": ".ts", "ballerina": ".bal",
	}[family]
}

// Range answers the bounds of a limit: duration (ms), memory or logs (MB).
func (i *Info) Range(limit string) (least, most int, ok bool) {
	if i == nil {
		return 0, 0, false
	}
	lo, err1 := i.limits["min_action_"+limit].Int64()
	hi, err2 := i.limits["max_action_"+limit].Int64()
	if err1 != nil || err2 != nil {
		return 0, 0, false
	}
	if limit != "duration" {
		lo, hi = lo>>20, hi>>20
	}
	return int(lo), int(hi), true
}
