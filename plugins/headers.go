package plugins

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"millrace/internal/expr"
	"millrace/plugin"
)

// headers is what header changes work on: a request or an answer.
type headers interface {
	SetHeader(name, value string)
	AddHeader(name, value string)
	DelHeader(name string)
}

// headerChanges are changes of headers as several plugins have them in their
// configuration. They are made in the order of the fields.
type headerChanges struct {
	add, set []headerValues
	remove   []string
}

type headerValues struct {
	name   string
	values []*plugin.Template
}

// parseHeaderChanges reads {"add":…,"set":…,"remove":[…]} or the older form, in
// which all are set and "" removes. Added ones are an object or a list of
// "Name: value". Without any the result is nil.
func parseHeaderChanges(conf json.RawMessage) (*headerChanges, error) {
	if len(conf) == 0 {
		return nil, nil
	}
	object := gjson.ParseBytes(conf)
	ch := &headerChanges{}
	if !isNewHeaderForm(object) {
		object.ForEach(func(name, value gjson.Result) bool {
			if value.String() == "" {
				ch.remove = append(ch.remove, name.String())
			} else {
				ch.set = append(ch.set, valuesOf(name.String(), value))
			}
			return true
		})
		return ch, nil
	}
	add := object.Get("add")
	if add.IsArray() {
		for _, line := range add.Array() {
			name, value, ok := strings.Cut(line.String(), ":")
			if !ok {
				return nil, fmt.Errorf("header %q has no value", line.String())
			}
			template := plugin.CompileTemplate(strings.TrimSpace(value))
			ch.add = append(ch.add, headerValues{strings.TrimSpace(name), []*plugin.Template{template}})
		}
	} else {
		ch.add = valuesOfAll(add)
	}
	ch.set = valuesOfAll(object.Get("set"))
	for _, name := range object.Get("remove").Array() {
		ch.remove = append(ch.remove, name.String())
	}
	return ch, nil
}

// isNewHeaderForm tells the newer form, in which the operations are objects or
// lists, from headers that happen to be named as an operation.
func isNewHeaderForm(object gjson.Result) bool {
	for _, operation := range []string{"add", "set", "remove"} {
		if v := object.Get(operation); v.IsObject() || v.IsArray() {
			return true
		}
	}
	return false
}

func valuesOfAll(object gjson.Result) (all []headerValues) {
	object.ForEach(func(name, value gjson.Result) bool {
		all = append(all, valuesOf(name.String(), value))
		return true
	})
	slices.SortFunc(all, func(a, b headerValues) int { return strings.Compare(a.name, b.name) })
	return all
}

func valuesOf(name string, value gjson.Result) headerValues {
	h := headerValues{name: name}
	for _, v := range value.Array() { // one value is an array of one
		h.values = append(h.values, plugin.CompileTemplate(v.String()))
	}
	return h
}

// apply makes the changes. A value that comes out empty is none: setting it removes
// the header.
func (ch *headerChanges) apply(to headers, lookup expr.Lookup) {
	for _, h := range ch.add {
		for _, v := range h.values {
			addHeader(to, h.name, v.Expand(lookup))
		}
	}
	for _, h := range ch.set {
		for i, v := range h.values {
			if i == 0 {
				setHeaderOrNone(to, h.name, v.Expand(lookup))
			} else {
				addHeader(to, h.name, v.Expand(lookup))
			}
		}
	}
	for _, name := range ch.remove {
		to.DelHeader(name)
	}
}

func addHeader(to headers, name, value string) {
	if value != "" {
		to.AddHeader(name, value)
	}
}

func setHeaderOrNone(to headers, name, value string) {
	if value == "" {
		to.DelHeader(name)
		return
	}
	to.SetHeader(name, value)
}
