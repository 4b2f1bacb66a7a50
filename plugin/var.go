package plugin

import (
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"millrace/internal/expr"
)

// Var answers the value of a variable, named without $, as conditions, templates
// and log formats use it. An unknown one is not present.
func (c *Context) Var(name string) expr.Value {
	if c.Stream != nil {
		return c.streamVar(name)
	}
	if get := variables[name]; get != nil {
		return get(c)
	}
	for _, family := range families {
		if rest, ok := strings.CutPrefix(name, family.prefix); ok {
			return family.get(c, rest)
		}
	}
	if get := c.extra[name]; get != "" {
		return expr.Text(get)
	}
	return expr.Value{}
}

// SetVar gives a variable of a plugin's own a value until the request ends.
func (c *Context) SetVar(name, value string) {
	if c.extra == nil {
		c.extra = make(map[string]string)
	}
	c.extra[name] = value
}

// present is the value of a text that is absent when it is empty.
func present(s string) expr.Value { return expr.Value{Text: s, Present: s != ""} }

// families are the variables that are named by a prefix and what follows it.
var families = []struct {
	prefix string
	get    func(c *Context, rest string) expr.Value
}{
	{"http_", (*Context).headerVar},
	{"arg_", (*Context).argVar},
	{"cookie_", (*Context).cookieVar},
	{"post_arg_", (*Context).postArgVar},
	{"post_arg.", (*Context).postPathVar},
	{"uri_param_", func(c *Context, rest string) expr.Value {
		v, ok := c.Matched.Params[rest]
		return expr.Value{Text: v, Present: ok}
	}},
	{"sent_http_", func(c *Context, rest string) expr.Value { return fieldVar(c.Response.Headers, rest) }},
	{"upstream_http_", func(c *Context, rest string) expr.Value {
		if c.Upstream.Headers == nil {
			return expr.Value{}
		}
		return fieldVar(c.Upstream.Headers, rest)
	}},
	{"upstream_trailer_", func(c *Context, rest string) expr.Value {
		if c.Upstream.Trailers == nil {
			return expr.Value{}
		}
		return fieldVar(c.Upstream.Trailers, rest)
	}},
	{"graphql_", (*Context).graphqlVar},
	{"ssl_", (*Context).tlsVar},
}

var variables = map[string]func(c *Context) expr.Value{
	"uri":                func(c *Context) expr.Value { return expr.Text(c.Request.Path()) },
	"document_uri":       func(c *Context) expr.Value { return expr.Text(c.Request.Path()) },
	"request_uri":        func(c *Context) expr.Value { return expr.Text(withQuery(c.Request.Path(), c.Request.Query())) },
	"real_request_uri":   func(c *Context) expr.Value { return expr.Text(c.Request.Target()) },
	"args":               func(c *Context) expr.Value { return present(c.Request.Query()) },
	"query_string":       func(c *Context) expr.Value { return present(c.Request.Query()) },
	"is_args":            func(c *Context) expr.Value { return isArgs(c) },
	"host":               func(c *Context) expr.Value { return expr.Text(hostOnly(c.Request.Host())) },
	"hostname":           func(*Context) expr.Value { name, _ := os.Hostname(); return present(name) },
	"scheme":             func(c *Context) expr.Value { return expr.Text(c.Conn.Scheme) },
	"method":             func(c *Context) expr.Value { return expr.Text(c.Request.Method()) },
	"request_method":     func(c *Context) expr.Value { return expr.Text(c.Request.Method()) },
	"request":            func(c *Context) expr.Value { return expr.Text(c.requestLine()) },
	"remote_addr":        func(c *Context) expr.Value { return expr.Text(c.Conn.RemoteAddr) },
	"realip_remote_addr": func(c *Context) expr.Value { return expr.Text(c.Conn.RemoteAddr) },
	"remote_port":        func(c *Context) expr.Value { return number(int64(c.Conn.RemotePort)) },
	"server_addr":        func(c *Context) expr.Value { return expr.Text(c.Conn.ServerAddr) },
	"server_port":        func(c *Context) expr.Value { return number(int64(c.Conn.ServerPort)) },
	"server_name":        func(*Context) expr.Value { return expr.Text("_") },
	"server_protocol":    func(c *Context) expr.Value { return expr.Text(c.Conn.Proto) },
	"content_type":       func(c *Context) expr.Value { return c.headerVar("content_type") },
	"content_length":     func(c *Context) expr.Value { return c.headerVar("content_length") },
	"pid":                func(*Context) expr.Value { return number(int64(os.Getpid())) },
	"remote_user":        func(c *Context) expr.Value { return c.remoteUser() },
	"request_length":     func(c *Context) expr.Value { return number(c.Sizes.Request) },
	"request_time":       func(c *Context) expr.Value { return seconds(time.Since(c.Started)) },
	"request_id":         func(c *Context) expr.Value { return expr.Text(c.RequestID()) },
	"apisix_request_id":  func(c *Context) expr.Value { return expr.Text(c.RequestID()) },
	"status":             func(c *Context) expr.Value { return number(int64(c.Response.Status())) },
	"bytes_sent":         func(c *Context) expr.Value { return number(c.Sizes.Sent) },
	"body_bytes_sent":    func(c *Context) expr.Value { return number(c.Sizes.SentBody) },
	"time_local":         func(*Context) expr.Value { return expr.Text(time.Now().Format("02/Jan/2006:15:04:05 -0700")) },
	"time_iso8601":       func(*Context) expr.Value { return expr.Text(time.Now().Format("2006-01-02T15:04:05-07:00")) },
	"msec":               func(*Context) expr.Value { return milli(time.Now()) },
	"request_type":       func(*Context) expr.Value { return expr.Text("traditional_http") },

	"upstream_addr":            func(c *Context) expr.Value { return present(c.Upstream.Addr) },
	"upstream_status":          func(c *Context) expr.Value { return present(c.Upstream.Status) },
	"upstream_response_time":   func(c *Context) expr.Value { return upstreamSeconds(c, c.Upstream.ResponseTime) },
	"upstream_connect_time":    func(c *Context) expr.Value { return upstreamSeconds(c, c.Upstream.ConnectTime) },
	"upstream_header_time":     func(c *Context) expr.Value { return upstreamSeconds(c, c.Upstream.HeaderTime) },
	"upstream_scheme":          func(c *Context) expr.Value { return present(c.Upstream.Scheme) },
	"upstream_host":            func(c *Context) expr.Value { return c.sentVar(UpstreamRequest.UpstreamHost) },
	"upstream_uri":             func(c *Context) expr.Value { return c.sentVar(UpstreamRequest.UpstreamTarget) },
	"upstream_unresolved_host": func(c *Context) expr.Value { return present(c.Upstream.UnresolvedHost) },
	"balancer_ip":              func(c *Context) expr.Value { return present(c.Upstream.IP) },
	"balancer_port":            func(c *Context) expr.Value { return portVar(c.Upstream.Port) },

	"route_id":          func(c *Context) expr.Value { return present(c.Matched.RouteID) },
	"route_name":        func(c *Context) expr.Value { return present(c.Matched.RouteName) },
	"service_id":        func(c *Context) expr.Value { return present(c.Matched.ServiceID) },
	"service_name":      func(c *Context) expr.Value { return present(c.Matched.ServiceName) },
	"consumer_name":     func(c *Context) expr.Value { return present(c.Consumer.Username) },
	"consumer_group_id": func(c *Context) expr.Value { return present(c.Consumer.GroupID) },
}

func (c *Context) sentVar(get func(UpstreamRequest) string) expr.Value {
	if c.Upstream.Sent == nil {
		return expr.Value{}
	}
	return present(get(c.Upstream.Sent))
}

func number(n int64) expr.Value { return expr.Text(strconv.FormatInt(n, 10)) }

func seconds(d time.Duration) expr.Value {
	return expr.Text(strconv.FormatFloat(d.Seconds(), 'f', 3, 64))
}

func upstreamSeconds(c *Context, d time.Duration) expr.Value {
	if c.Upstream.Addr == "" {
		return expr.Value{}
	}
	return seconds(d)
}

func portVar(port int) expr.Value {
	if port == 0 {
		return expr.Value{}
	}
	return number(int64(port))
}

func milli(t time.Time) expr.Value {
	return expr.Text(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64))
}

func isArgs(c *Context) expr.Value {
	if c.Request.Query() == "" {
		return expr.Text("")
	}
	return expr.Text("?")
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// hostOnly is the Host header in lower case and without its port.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

func (c *Context) requestLine() string {
	return c.Request.Method() + " " + c.Request.Target() + " " + c.Conn.Proto
}

// headerVar is http_NAME: all values of a header.
func (c *Context) headerVar(name string) expr.Value { return fieldVar(c.Request.Headers, name) }

// fieldVar joins the values of the header that a variable's name stands for: in
// lower case, with _ for -.
func fieldVar(each func(fn func(name, value []byte) bool), name string) expr.Value {
	v := expr.Value{}
	each(func(field, value []byte) bool {
		if !namesField(name, field) {
			return true
		}
		if v.Present {
			v.Text += ", "
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
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c == '-':
			c = '_'
		}
		if n := name[i]; n != c && !(n >= 'A' && n <= 'Z' && n|0x20 == c) {
			return false
		}
	}
	return true
}

// argVar is arg_NAME: the first value of a query parameter, decoded.
func (c *Context) argVar(name string) expr.Value { return formVar(c.Request.Query(), name) }

// formVar finds the first value of a name in a form.
func formVar(form, name string) expr.Value {
	for form != "" {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		key, value, _ := strings.Cut(pair, "=")
		if key != name && unescape(key) != name {
			continue
		}
		return expr.Text(unescape(value))
	}
	return expr.Value{}
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// cookieVar is cookie_NAME.
func (c *Context) cookieVar(name string) expr.Value {
	v := expr.Value{}
	c.Request.Headers(func(field, value []byte) bool {
		if !namesField("cookie", field) {
			return true
		}
		for part := range strings.SplitSeq(string(value), ";") {
			key, val, ok := strings.Cut(strings.TrimSpace(part), "=")
			if ok && key == name {
				v = expr.Text(val)
				return false
			}
		}
		return true
	})
	return v
}
