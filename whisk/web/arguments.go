package web

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/request"
)

// arguments makes the payload of the call, a JSON object: what is known of the
// request under names that begin with __ow_, and unless the action is raw the
// fields of the query, overridden by those of the body. JSON of the client's is
// checked and copied, never encoded anew.
func (h *Handler) arguments(x *exchange, to *address) ([]byte, error) {
	limit := h.payloadLimit(x)
	defer h.Meter.Metered(x.Request, x.owner.Namespace)()
	body, err := request.Body(x.w, x.Request, limit, h.pause, func(size int64) error { return tooLarge(size, limit) })
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 1024)
	b = append(b, `{"__ow_method":"`...)
	b = append(b, strings.ToLower(x.Method)...)
	b = append(b, `","__ow_headers":`...)
	b = x.appendHeaders(b)
	b = appendMember(b, "__ow_path", to.rest)
	if x.caller != nil {
		b = appendMember(b, "__ow_user", x.caller.Namespace)
	}
	if x.traits.raw {
		b = appendMember(b, "__ow_query", x.URL.RawQuery)
		return append(appendRawBody(b, x.Header, body), '}'), nil
	}
	b, err = x.appendFields(b, body)
	return append(b, '}'), err
}

// appendHeaders appends the headers as an object with names in lower case; of a
// header that is given more than once the last counts. The key of another
// namespace than the owner's is not the owner's to see: browsers send it by
// themselves once they know it.
func (x *exchange) appendHeaders(b []byte) []byte {
	b = append(b, `{"host":`...)
	b = whisk.AppendString(b, x.Host)
	foreign := x.caller != nil && x.caller.Namespace != x.owner.Namespace
	for name, values := range x.Header {
		if len(values) == 0 || name == "Content-Length" || name == "Host" || foreign && name == "Authorization" {
			continue
		}
		b = append(b, ',')
		start := len(b)
		b = whisk.AppendString(b, name)
		lower(b[start:])
		b = append(b, ':')
		b = whisk.AppendString(b, values[len(values)-1])
	}
	return append(b, '}')
}

// lower makes ASCII letters lower case, in place.
func lower(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, ',')
	b = whisk.AppendString(b, name)
	b = append(b, ':')
	return whisk.AppendString(b, value)
}

// appendRawBody appends the body as a raw action gets it: what is text as text,
// and JSON, for OpenWhisk's reasons of old, like what is not.
func appendRawBody(b []byte, header http.Header, body []byte) []byte {
	m, _ := parseMedia(header.Get("Content-Type"))
	if c := m.class(); c == binary || m.name == typeJSON {
		return appendBase64(b, body)
	}
	return appendMember(b, "__ow_body", text(body))
}

func appendBase64(b, body []byte) []byte {
	b = slices.Grow(b, base64.StdEncoding.EncodedLen(len(body))+len(`,"__ow_body":""}`))
	b = append(b, `,"__ow_body":"`...)
	b = base64.StdEncoding.AppendEncode(b, body)
	return append(b, '"')
}

// appendFields appends query and body as an action that is not raw gets them.
func (x *exchange) appendFields(b, body []byte) ([]byte, error) {
	query, ok := parseFields(x.URL.RawQuery)
	if !ok {
		return nil, malformed(msgBadQuery)
	}
	forbidden := reserved(x.target.Action.Immutable(x.target.Inherited))
	if len(body) == 0 {
		return appendAll(b, &query, forbidden)
	}
	m, _ := parseMedia(x.Header.Get("Content-Type"))
	switch m.class() {
	case jsonText:
		return appendJSON(b, &query, forbidden, body)
	case form:
		if query, ok = parseFields(x.URL.RawQuery + "&" + text(body)); !ok {
			return nil, malformed(msgBadForm)
		}
		return appendAll(b, &query, forbidden)
	case textual:
		b, err := appendAll(b, &query, forbidden)
		return appendMember(b, "__ow_body", text(body)), err
	}
	b, err := appendAll(b, &query, forbidden)
	return appendBase64(b, body), err
}

// reserved is the names that a client may not give: these, and __ow_ ones.
type reserved map[string]bool

func (r reserved) has(name string) bool {
	switch name {
	case "__ow_method", "__ow_headers", "__ow_path", "__ow_user", "__ow_query", "__ow_body":
		return true
	}
	return r[name]
}

func appendAll(b []byte, f *fields, forbidden reserved) ([]byte, error) {
	for i := range f.list {
		name := f.list[i].name
		if forbidden.has(name) {
			return nil, bad(whisk.MsgReservedProperties)
		}
		if !f.list[i].dropped {
			b = appendMember(b, name, f.list[i].value)
		}
	}
	return b, nil
}

// appendJSON appends a JSON body: the members of an object in place of query
// fields of the same name, anything else as __ow_body.
func appendJSON(b []byte, query *fields, forbidden reserved, body []byte) ([]byte, error) {
	if err := whisk.CheckJSON(body); err != nil {
		return nil, malformed(err.Error())
	}
	// Not every language's JSON reader puts up with broken UTF-8.
	body = bytes.TrimSpace(bytes.ToValidUTF8(body, []byte("\uFFFD")))
	if !whisk.IsObject(body) {
		b, err := appendAll(b, query, forbidden)
		b = append(b, `,"__ow_body":`...)
		return append(b, body...), err
	}
	allowed := true
	gjson.Parse(text(body)).ForEach(func(key, _ gjson.Result) bool {
		query.drop(key.Str)
		allowed = !forbidden.has(key.Str)
		return allowed
	})
	if !allowed {
		return nil, bad(whisk.MsgReservedProperties)
	}
	b, err := appendAll(b, query, forbidden)
	if members := bytes.TrimSpace(body[1 : len(body)-1]); len(members) > 0 {
		b = slices.Grow(b, len(members)+len(",}"))
		b = append(append(b, ','), members...)
	}
	return b, err
}

func malformed(detail string) error { return bad(whisk.MsgMalformed(detail)) }

// text looks at bytes, which nobody changes any more, as a string.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
