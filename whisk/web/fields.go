package web

import (
	"net/url"
	"strings"
)

// fields are names with values, in order, each name once.
type fields struct {
	list  []field
	index map[string]int // name → place in list; nil while the list is short
}

type field struct {
	name, value string
	dropped     bool
}

const (
	// short is how many fields are looked through rather than indexed.
	short = 8
	// maxFields bounds what a form of the largest size may cost: a field takes much
	// more memory than its text.
	maxFields = 10_000
)

// parseFields reads a query string or a form. Of equal names the last wins. ok is
// false if its encoding is broken or it has too many fields.
func parseFields(s string) (f fields, ok bool) {
	for s != "" {
		var item string
		item, s, _ = strings.Cut(s, "&")
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return f, false
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return f, false
		}
		if f.set(name, value); len(f.list) > maxFields {
			return f, false
		}
	}
	return f, true
}

func (f *fields) set(name, value string) {
	if i := f.find(name); i >= 0 {
		f.list[i].value = value
		return
	}
	f.list = append(f.list, field{name: name, value: value})
	if f.index != nil {
		f.index[name] = len(f.list) - 1
	}
}

// find answers the place of name in the list, or -1.
func (f *fields) find(name string) int {
	if f.index == nil && len(f.list) > short {
		f.index = make(map[string]int, 2*len(f.list))
		for i := range f.list {
			f.index[f.list[i].name] = i
		}
	}
	if f.index != nil {
		if i, ok := f.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range f.list {
		if f.list[i].name == name {
			return i
		}
	}
	return -1
}

// drop takes a field out.
func (f *fields) drop(name string) {
	if i := f.find(name); i >= 0 {
		f.list[i].dropped = true
	}
}
