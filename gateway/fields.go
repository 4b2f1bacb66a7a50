package gateway

import (
	"bytes"
	"slices"
	"unsafe"

	"millrace/gateway/http1"
)

// fields are the header fields of a message in the order in which they are
// sent. A deleted field keeps its place with an empty name, so that what a
// plugin adds can be told from what was received.
type fields []http1.Field

// get answers the first value of a header, nil if there is none.
func (f fields) get(name string) []byte {
	for i := range f {
		if len(f[i].Name) == len(name) && foldEqual(f[i].Name, name) {
			return f[i].Value
		}
	}
	return nil
}

// kind answers the first value of a special header.
func (f fields) kind(k http1.Kind) []byte {
	for i := range f {
		if f[i].Kind == k && len(f[i].Name) > 0 {
			return f[i].Value
		}
	}
	return nil
}

func (f fields) each(fn func(name, value []byte) bool) {
	for i := range f {
		if len(f[i].Name) > 0 && !fn(f[i].Name, f[i].Value) {
			return
		}
	}
}

// set replaces the first field of that name and deletes the others, or adds one.
func (f *fields) set(name, value string) {
	found := false
	for i := range *f {
		e := &(*f)[i]
		if len(e.Name) != len(name) || !foldEqual(e.Name, name) {
			continue
		}
		if found {
			e.Name = nil
			continue
		}
		e.Value, found = cleanText(value), true
	}
	if !found {
		f.add(name, value)
	}
}

func (f *fields) add(name, value string) {
	n := cleanText(name)
	if !http1.IsToken(n) { // no line of it would be a header of that name
		return
	}
	*f = append(*f, http1.Field{Name: n, Value: cleanText(value), Kind: http1.KindOf(n)})
}

func (f fields) del(name string) {
	for i := range f {
		if len(f[i].Name) == len(name) && foldEqual(f[i].Name, name) {
			f[i].Name = nil
		}
	}
}

// dropUnderscores deletes the fields whose name has an underscore, which programs
// behind gateways cannot tell from a dash.
func (f fields) dropUnderscores() {
	for i := range f {
		if bytes.IndexByte(f[i].Name, '_') >= 0 {
			f[i].Name = nil
		}
	}
}

// foldSame compares names without case.
func foldSame(a []byte, b string) bool { return len(a) == len(b) && foldEqual(a, b) }

// cleanText escapes the bytes that would end a header line or begin another. Its
// result may share the text's memory: fields are only read.
func cleanText(s string) []byte {
	if s == "" {
		return []byte{}
	}
	for i := range len(s) {
		if isControl(s[i]) {
			return escapeControls(s)
		}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

func escapeControls(s string) []byte {
	const hex = "0123456789ABCDEF"
	var out []byte
	for i := range len(s) {
		if c := s[i]; isControl(c) {
			out = append(out, '%', hex[c>>4], hex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return slices.Clip(out)
}

func isControl(c byte) bool { return c < 0x20 && c != '\t' || c == 0x7f }

// foldEqual compares names of the same length without case.
func foldEqual(a []byte, b string) bool {
	for i, c := range a {
		d := b[i]
		if c == d {
			continue
		}
		if c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}
