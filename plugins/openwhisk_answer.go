package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"millrace/plugin"
)

// shallow is a number of brackets that gjson, which recurses, can take without
// a thought for the stack.
const shallow = 1000

var errNoResult = errors.New("the answer's body is no result")

// shape is what a result says about the answer to the client, which web actions
// say in the same way. Members that are absent or false do not exist.
type shape struct {
	statusCode, headers, body gjson.Result
}

// checkResult tells whether OpenWhisk's body can be answered with: it is JSON, and
// not false.
func checkResult(status int, raw []byte) error {
	if !isJSON(raw) || string(bytes.TrimSpace(raw)) == "false" {
		return fmt.Errorf("%w (status %d, %d bytes)", errNoResult, status, len(raw))
	}
	return nil
}

// answerAs ends the request with OpenWhisk's answer, whose body checkResult has
// passed: its status, and its body raw unless the result says otherwise.
func answerAs(c *plugin.Context, status int, raw []byte) error {
	switch doc := bytes.TrimLeft(raw, " \t\r\n"); doc[0] {
	case '[', '"':
		return c.Exit(status, raw)
	case '{':
		s := shapeOf(doc)
		return s.answer(c, status, raw)
	}
	return errors.New("the action's result is a number, true or null")
}

// isJSON tells whether raw is one JSON value.
func isJSON(raw []byte) bool {
	if bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > shallow {
		return json.Valid(raw)
	}
	return gjson.ValidBytes(raw)
}

// shapeOf finds the three members in a valid object; of one that is given more
// than once the last counts.
func shapeOf(object []byte) (s shape) {
	gjson.Parse(text(object)).ForEach(func(key, value gjson.Result) bool {
		if value.Type == gjson.False {
			value = gjson.Result{}
		}
		switch key.Str {
		case "statusCode":
			s.statusCode = value
		case "headers":
			s.headers = value
		case "body":
			s.body = value
		}
		return true
	})
	return s
}

// text looks at bytes, which nobody changes any more, as a string.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// answer ends the request as s says.
func (s *shape) answer(c *plugin.Context, status int, raw []byte) error {
	if s.statusCode.Exists() {
		var err error
		if status, err = clientStatus(s.statusCode); err != nil {
			return err
		}
	}
	setHeaders(c.Response, s.headers)
	if status == 204 || status == 304 {
		return c.Exit(status, []byte{})
	}
	return c.Exit(status, s.bodyOr(raw))
}

// clientStatus answers what a client gets for a statusCode. The codes that are
// none end as nginx ends them, except that 1xx, after which a client would wait
// for the true answer, is refused.
func clientStatus(code gjson.Result) (int, error) {
	switch n := code.Num; {
	case code.Type != gjson.Number:
		return 0, errors.New("the statusCode of the action's result is not a number")
	case n == 0 || n >= 1000:
		return 200, nil
	case n < 100:
		return 0, plugin.ErrDrop
	case n < 200:
		return 0, fmt.Errorf("the statusCode of the action's result is %v", n)
	default:
		return int(n), nil
	}
}

// bodyOr answers the bytes of the body member, or raw if there is none.
func (s *shape) bodyOr(raw []byte) []byte {
	switch {
	case !s.body.Exists():
		return raw
	case s.body.IsObject() || s.body.IsArray():
		return append(compactJSON(make([]byte, 0, len(s.body.Raw)+1), s.body.Raw), '\n')
	}
	return []byte(scalarText(s.body))
}

// scalarText is a JSON value that is no object or array as text; numbers are
// written as Lua writes them.
func scalarText(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return strconv.FormatFloat(v.Num, 'g', 14, 64)
	}
	return v.Raw
}

// compactJSON appends valid JSON to dst without white space between its parts
// and without the escape that "/" does not need.
func compactJSON(dst []byte, src string) []byte {
	inString := false
	for i := 0; i < len(src); i++ {
		b := src[i]
		switch {
		case inString && b == '\\':
			i++
			if src[i] != '/' {
				dst = append(dst, '\\')
			}
			b = src[i]
		case b == '"':
			inString = !inString
		case !inString && (b == ' ' || b == '\t' || b == '\n' || b == '\r'):
			continue
		}
		dst = append(dst, b)
	}
	return dst
}

// setHeaders sets the headers that a result asks for. The members of an object
// are names and values; an array's are named by their place, from 1.
func setHeaders(r plugin.Response, headers gjson.Result) {
	place := 0
	if !headers.IsObject() && !headers.IsArray() {
		return
	}
	headers.ForEach(func(key, value gjson.Result) bool {
		place++
		name := key.Str
		if headers.IsArray() {
			name = strconv.Itoa(place)
		}
		if name = headerName(name); name != "" && !isFraming(name) {
			setHeader(r, name, value)
		}
		return true
	})
}

// setHeader sets one header: an array gives it several times, null leaves it,
// and an empty text or anything without a text removes it.
func setHeader(r plugin.Response, name string, value gjson.Result) {
	if value.Type == gjson.Null {
		return
	}
	if !value.IsObject() && !value.IsArray() {
		if text := scalarText(value); text != "" {
			r.SetHeader(name, headerValue(text))
			return
		}
	}
	r.DelHeader(name)
	if !value.IsArray() {
		return
	}
	value.ForEach(func(_, element gjson.Result) bool {
		if element.Type != gjson.Null && !element.IsObject() && !element.IsArray() {
			if text := scalarText(element); text != "" {
				r.AddHeader(name, headerValue(text))
			}
		}
		return true
	})
}

// isFraming tells whether a header says where the answer ends, or belongs to the
// connection: that is the gateway's to say.
func isFraming(name string) bool {
	for _, own := range [...]string{"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Trailer", "TE"} {
		if strings.EqualFold(name, own) {
			return true
		}
	}
	return false
}

// headerName makes a name that cannot end a header line: as OpenResty does, "_"
// becomes "-" and what no name may hold is percent-encoded.
func headerName(name string) string {
	return escape(strings.ReplaceAll(name, "_", "-"), func(b byte) bool {
		return b <= ' ' || b >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0
	})
}

// headerValue makes a value that cannot end a header line.
func headerValue(value string) string {
	return escape(value, func(b byte) bool { return b < ' ' && b != '\t' || b == 0x7f })
}

// escape percent-encodes the bytes that are unfit.
func escape(s string, unfit func(byte) bool) string {
	i := 0
	for i < len(s) && !unfit(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+8), s[:i]...)
	for ; i < len(s); i++ {
		if unfit(s[i]) {
			out = fmt.Appendf(out, "%%%02X", s[i])
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}
