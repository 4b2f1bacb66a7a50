package plugin

import (
	"strings"

	"millrace/internal/expr"
)

// headerVar is http_NAME: all values of a header.
func (c *Context) headerVar(name string) expr.Value { return fieldVar(c.Request.Headers, name) }

// fieldVar joins the values of the header that a variable's name stands for: in
// lower case, with _ for -. Without fields nothing is present.
func fieldVar(each func(fn func(name, value []byte) bool), name string) expr.Value {
	v := expr.Value{}
	if each == nil {
		return v
	}
	between := ", "
	if strings.EqualFold(name, "cookie") {
		between = "; "
	}
	each(func(field, value []byte) bool {
		if !namesField(name, field) {
			return true
		}
		if v.Present {
			v.Text += between
		}
		v.Text, v.Present = v.Text+string(value), true
		return true
	})
	return v
}

func namesField(name string, field []byte) bool {
	if len(name) != len(field) {
		return false
	}
	for i, c := range field {
		if fieldChar(name[i]) != fieldChar(c) {
			return false
		}
	}
	return true
}

func fieldChar(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c | 0x20
	case c == '-':
		return '_'
	}
	return c
}

// forwardedFor is the header X-Forwarded-For with the client at its end.
func (c *Context) forwardedFor() expr.Value {
	v := c.headerVar("x_forwarded_for")
	if v.Text != "" {
		v.Text += ", "
	}
	return expr.Text(v.Text + c.Conn.RemoteAddr)
}

// argVar is arg_NAME: the first value of a query parameter, decoded.
func (c *Context) argVar(name string) expr.Value { return formVar(c.Request.Query(), name) }

// formVar finds the first value of a name in a form; that of a name alone is true.
func formVar(form, name string) expr.Value {
	for form != "" {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		key, value, valued := strings.Cut(pair, "=")
		switch {
		case pair == "" || key != name && UnescapeArg(key) != name:
		case !valued:
			return expr.Text("true")
		default:
			return expr.Text(UnescapeArg(value))
		}
	}
	return expr.Value{}
}

// unescape decodes + and %HH; what is no escape stays.
// UnescapeArg decodes a name or a value of a query or a form: %xx and +. What is no
// such sequence stays as it is.
func UnescapeArg(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) {
			if high, low := hexDigit(s[i+1]), hexDigit(s[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		out = append(out, c)
	}
	return string(out)
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// cookieVar is cookie_NAME; of several of the name the last.
func (c *Context) cookieVar(name string) expr.Value {
	v := expr.Value{}
	c.Request.Headers(func(field, value []byte) bool {
		if namesField("cookie", field) {
			for part := range strings.SplitSeq(string(value), ";") {
				if key, val, ok := strings.Cut(strings.TrimSpace(part), "="); ok && key == name {
					v = expr.Text(val)
				}
			}
		}
		return true
	})
	return v
}

// upstreamCookieVar is upstream_cookie_NAME: what the upstream has set a cookie to.
func (c *Context) upstreamCookieVar(name string) expr.Value {
	v := expr.Value{}
	if c.Upstream.Headers == nil {
		return v
	}
	c.Upstream.Headers(func(field, value []byte) bool {
		if !namesField("set_cookie", field) {
			return true
		}
		pair, _, _ := strings.Cut(string(value), ";")
		if key, val, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && key == name {
			v = expr.Text(val)
		}
		return !v.Present
	})
	return v
}
