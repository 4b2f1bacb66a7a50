package wsk

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// summary prints what an entity says about itself: its description and the
// names of its parameters, the bound ones with an asterisk.
func (a *app) summary(noun, fullName string, annotations, parameters keyValues) {
	line := a.paint("1", noun) + " " + fullName
	if text := annotations.value("description"); len(text) > 0 && plain(text) != "" {
		line += ": " + plain(text)
	}
	names := parameterNames(annotations, parameters)
	if len(names) == 0 {
		names = []string{"none defined"}
	}
	fmt.Fprintf(a.Out, "%s\n   (%s: %s)\n", line, a.paint("1", "parameters"), strings.Join(names, ", "))
}

// parameterNames answers the names of an entity's parameters, sorted: those its
// annotation `parameters` describes and those bound to it, which have a *
// before them, or two if `final` keeps callers from giving another value.
func parameterNames(annotations, bound keyValues) []string {
	var described []struct {
		Name string `json:"name"`
	}
	if text := annotations.value("parameters"); text != nil {
		_ = json.Unmarshal(text, &described) // free text of the author: not an array means none described
	}
	mark := "*"
	if annotations.truthy("final") {
		mark = "**"
	}
	marks := make(map[string]string)
	for _, p := range described {
		marks[p.Name] = ""
	}
	for _, kv := range bound {
		marks[kv.Key] = mark
	}
	names := make([]string, 0, len(marks))
	for name := range marks {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		names[i] = marks[name] + name
	}
	return names
}
