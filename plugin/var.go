package plugin

import (
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/internal/expr"
)

// Var answers the value of a variable, named without $, as conditions, templates
// and log formats use it. An unknown one is not present.
func (c *Context) Var(name string) expr.Value {
	if len(c.extra) > 0 {
		if v, set := c.extra[name]; set {
			return present(v)
		}
	}
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
	return expr.Value{}
}

// SetVar gives a variable a value until the request ends, be it a plugin's own or one
// that there is; none, with an empty one.
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
	{"sent_trailer_", func(c *Context, rest string) expr.Value { return fieldVar(c.Upstream.Trailers, rest) }},
	{"upstream_http_", func(c *Context, rest string) expr.Value { return fieldVar(c.Upstream.Headers, rest) }},
	{"upstream_trailer_", func(c *Context, rest string) expr.Value { return fieldVar(c.Upstream.Trailers, rest) }},
	{"upstream_cookie_", (*Context).upstreamCookieVar},
	{"graphql_", (*Context).graphqlVar},
	{"ssl_", (*Context).tlsVar},
	{"tcpinfo_", (*Context).tcpVar},
}

// variables are those of one name each.
var variables = tables(requestVariables, clientVariables, upstreamVariables)

func tables(all ...map[string]func(*Context) expr.Value) map[string]func(*Context) expr.Value {
	one := map[string]func(*Context) expr.Value{}
	for _, table := range all {
		maps.Copy(one, table)
	}
	return one
}

var requestVariables = map[string]func(c *Context) expr.Value{
	"uri":               func(c *Context) expr.Value { return expr.Text(c.Request.Path()) },
	"document_uri":      func(c *Context) expr.Value { return expr.Text(c.Request.Path()) },
	"request_uri":       func(c *Context) expr.Value { return expr.Text(withQuery(c.Request.Path(), c.Request.Query())) },
	"real_request_uri":  func(c *Context) expr.Value { return expr.Text(c.Request.Target()) },
	"args":              func(c *Context) expr.Value { return present(c.Request.Query()) },
	"query_string":      func(c *Context) expr.Value { return present(c.Request.Query()) },
	"is_args":           func(c *Context) expr.Value { return isArgs(c) },
	"host":              func(c *Context) expr.Value { return expr.Text(hostOnly(c.Request.Host())) },
	"method":            func(c *Context) expr.Value { return expr.Text(c.Request.Method()) },
	"request_method":    func(c *Context) expr.Value { return expr.Text(c.Request.Method()) },
	"request":           func(c *Context) expr.Value { return expr.Text(c.requestLine()) },
	"request_body":      (*Context).bodyVar,
	"content_type":      func(c *Context) expr.Value { return c.headerVar("content_type") },
	"content_length":    func(c *Context) expr.Value { return c.headerVar("content_length") },
	"remote_user":       func(c *Context) expr.Value { return c.remoteUser() },
	"request_length":    func(c *Context) expr.Value { return number(c.Sizes.Request) },
	"request_time":      func(c *Context) expr.Value { return seconds(time.Since(c.Started)) },
	"request_id":        func(c *Context) expr.Value { return expr.Text(c.RequestID()) },
	"apisix_request_id": func(c *Context) expr.Value { return expr.Text(c.RequestID()) },

	"proxy_add_x_forwarded_for": (*Context).forwardedFor,

	"status":             func(c *Context) expr.Value { return expr.Text(fmt.Sprintf("%03d", c.Response.Status())) },
	"bytes_sent":         func(c *Context) expr.Value { return number(c.Sizes.Sent) },
	"body_bytes_sent":    func(c *Context) expr.Value { return number(c.Sizes.SentBody) },
	"request_completion": func(c *Context) expr.Value { return when(c.Sizes.Whole, "OK") },
	"resp_body":          func(*Context) expr.Value { return expr.Text("") }, // of loggers alone

	"hostname":     func(*Context) expr.Value { return present(hostname()) },
	"pid":          func(*Context) expr.Value { return number(int64(os.Getpid())) },
	"server_name":  func(*Context) expr.Value { return expr.Text("_") },
	"time_local":   func(*Context) expr.Value { return expr.Text(time.Now().Format("02/Jan/2006:15:04:05 -0700")) },
	"time_iso8601": func(*Context) expr.Value { return expr.Text(time.Now().Format("2006-01-02T15:04:05-07:00")) },
	"msec":         func(*Context) expr.Value { return milli(time.Now()) },

	"route_id":          func(c *Context) expr.Value { return present(c.Matched.RouteID) },
	"route_name":        func(c *Context) expr.Value { return present(c.Matched.RouteName) },
	"service_id":        func(c *Context) expr.Value { return present(c.Matched.ServiceID) },
	"service_name":      func(c *Context) expr.Value { return present(c.Matched.ServiceName) },
	"matched_uri":       func(c *Context) expr.Value { return present(c.Matched.URI) },
	"matched_host":      func(c *Context) expr.Value { return present(c.Matched.Host) },
	"consumer_name":     func(c *Context) expr.Value { return present(c.Consumer.Username) },
	"consumer_group_id": func(c *Context) expr.Value { return present(c.Consumer.GroupID) },

	// What they are while no plugin that speaks to language models has run.
	"request_type":            func(*Context) expr.Value { return expr.Text("traditional_http") },
	"request_llm_model":       func(*Context) expr.Value { return expr.Text("") },
	"llm_model":               func(*Context) expr.Value { return expr.Text("") },
	"llm_prompt_tokens":       func(*Context) expr.Value { return expr.Text("0") },
	"llm_completion_tokens":   func(*Context) expr.Value { return expr.Text("0") },
	"llm_time_to_first_token": func(*Context) expr.Value { return expr.Text("0") },
}

// hostname is this machine's.
var hostname = sync.OnceValue(func() string { name, _ := os.Hostname(); return name })

// when is a text, or the empty one.
func when(is bool, text string) expr.Value {
	if !is {
		text = ""
	}
	return expr.Text(text)
}

func number(n int64) expr.Value { return expr.Text(strconv.FormatInt(n, 10)) }

func seconds(d time.Duration) expr.Value { return expr.Text(secondsText(d)) }

func secondsText(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

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

// hostOnly is the Host header in lower case and without its port and a final dot; the
// name of the server if there is none.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host = strings.TrimSuffix(host, "."); host == "" {
		return "_"
	}
	return strings.ToLower(host)
}

// requestLine is empty if not even that could be read.
func (c *Context) requestLine() string {
	if c.Request.Method() == "" {
		return ""
	}
	return c.Request.Method() + " " + c.Request.Target() + " " + c.Conn.Proto
}
