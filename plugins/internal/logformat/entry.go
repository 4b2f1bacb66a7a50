package logformat

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/plugin"
)

// appendDefault appends the entry that no log_format was given for; extra, unless
// nil, adds members.
func appendDefault(dst []byte, c *plugin.Context, server Server, bodies Bodies, extra *object) []byte {
	dst = append(dst, `{"request":`...)
	dst = appendRequest(dst, c, bodies.Request)
	dst = append(dst, `,"response":`...)
	dst = appendResponse(dst, c, bodies.Response)
	dst = appendText(append(dst, `,"server":{"hostname":`...), server.Hostname)
	dst = appendText(append(dst, `,"version":`...), server.Version)
	dst = appendText(append(dst, `},"upstream":`...), c.Upstream.Addr)
	dst = appendText(append(dst, `,"service_id":`...), serviceOf(c))
	dst = appendText(append(dst, `,"route_id":`...), routeOf(c))
	if who := c.Consumer.Username; who != "" {
		dst = appendText(append(dst, `,"consumer":{"username":`...), who)
		dst = append(dst, '}')
	}
	dst = appendText(append(dst, `,"client_ip":`...), c.Conn.RemoteAddr)
	dst = appendTimes(dst, c)
	if extra != nil {
		dst = extra.appendMembers(dst, lookup(c, bodies))
	}
	return append(dst, '}')
}

func routeOf(c *plugin.Context) string {
	if c.Matched.RouteID == "" {
		return "no-matched"
	}
	return c.Matched.RouteID
}

// serviceOf is the route's service; without a route it is the host.
func serviceOf(c *plugin.Context) string {
	if c.Matched.RouteID == "" {
		return c.Var("host").Text
	}
	return c.Matched.ServiceID
}

func appendRequest(dst []byte, c *plugin.Context, body []byte) []byte {
	r := c.Request
	uri := c.Var("request_uri").Text
	dst = append(dst, `{"url":`...)
	dst = appendText(dst, c.Conn.Scheme+"://"+c.Var("host").Text+":"+strconv.Itoa(c.Conn.ServerPort)+uri)
	dst = appendText(append(dst, `,"uri":`...), uri)
	dst = appendText(append(dst, `,"method":`...), r.Method())
	dst = appendHeaders(append(dst, `,"headers":`...), r.Headers)
	dst = appendQuery(append(dst, `,"querystring":`...), r.Query())
	dst = strconv.AppendInt(append(dst, `,"size":`...), c.Sizes.Request, 10)
	if body != nil {
		dst = appendText(append(dst, `,"body":`...), string(body))
	}
	return append(dst, '}')
}

func appendResponse(dst []byte, c *plugin.Context, body []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"status":`...), int64(c.Response.Status()), 10)
	dst = appendHeaders(append(dst, `,"headers":`...), c.Response.Headers)
	dst = strconv.AppendInt(append(dst, `,"size":`...), c.Sizes.Sent, 10)
	if body != nil {
		dst = appendText(append(dst, `,"body":`...), string(body))
	}
	return append(dst, '}')
}

// appendTimes appends start and durations in milliseconds.
func appendTimes(dst []byte, c *plugin.Context) []byte {
	total := time.Since(c.Started)
	dst = strconv.AppendInt(append(dst, `,"start_time":`...), c.Started.UnixMilli(), 10)
	dst = appendFloat(append(dst, `,"latency":`...), milliseconds(total))
	inner := c.Upstream.ResponseTime
	if c.Upstream.Addr != "" {
		dst = appendFloat(append(dst, `,"upstream_latency":`...), milliseconds(inner))
	} else {
		inner = 0
	}
	return appendFloat(append(dst, `,"apisix_latency":`...), milliseconds(max(0, total-inner)))
}

func appendFloat(dst []byte, f float64) []byte { return strconv.AppendFloat(dst, f, 'f', -1, 64) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// values are the values of names, in the order in which the names first came.
type values struct {
	names []string
	by    map[string][]string
}

func (v *values) add(name, value string) {
	if v.by == nil {
		v.by = map[string][]string{}
	}
	if _, seen := v.by[name]; !seen {
		v.names = append(v.names, name)
	}
	v.by[name] = append(v.by[name], value)
}

// append appends an object; a name with several values has an array.
func (v *values) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range v.names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, name), ':')
		all := v.by[name]
		if len(all) == 1 {
			dst = appendText(dst, all[0])
			continue
		}
		for j, value := range all {
			dst = append(dst, "[,"[min(j, 1)])
			dst = appendText(dst, value)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendHeaders(dst []byte, each func(fn func(name, value []byte) bool)) []byte {
	var v values
	each(func(name, value []byte) bool {
		v.add(strings.ToLower(string(name)), string(value))
		return true
	})
	return v.append(dst)
}

// maxArgs is how many query parameters are logged.
const maxArgs = 100

func appendQuery(dst []byte, query string) []byte {
	var v values
	n := 0
	for query != "" && n < maxArgs {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		v.add(unescape(name), unescape(value))
		n++
	}
	return v.append(dst)
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// key begins a member: with a comma unless it is the first of its object.
func key(dst, name []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' {
		dst = append(dst, ',')
	}
	return append(dst, name...)
}

// appendText appends a JSON text. Bytes that are no UTF-8 become U+FFFD.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c >= ' ' && c != 0x7f:
				dst = append(dst, c)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return append(dst, '"')
}
