package plugin

import (
	"strconv"
	"strings"
	"time"

	"millrace/internal/expr"
)

// upstreamVariables are those of the call to the upstream. What is of each attempt is
// separated by ", ".
var upstreamVariables = map[string]func(c *Context) expr.Value{
	"upstream_addr":   func(c *Context) expr.Value { return present(c.Upstream.Addr) },
	"upstream_status": func(c *Context) expr.Value { return present(c.Upstream.Status) },
	"upstream_response_time": func(c *Context) expr.Value {
		return c.attemptTimes(func(a *Attempt) time.Duration { return a.ResponseTime })
	},
	"upstream_connect_time": func(c *Context) expr.Value {
		return c.attemptTimes(func(a *Attempt) time.Duration { return a.ConnectTime })
	},
	"upstream_header_time": func(c *Context) expr.Value {
		return c.attemptTimes(func(a *Attempt) time.Duration { return a.HeaderTime })
	},
	"upstream_response_length": func(c *Context) expr.Value { return c.attemptSizes(func(a *Attempt) int64 { return a.BodyBytes }) },
	"upstream_bytes_received":  func(c *Context) expr.Value { return c.attemptSizes(func(a *Attempt) int64 { return a.BytesReceived }) },
	"upstream_bytes_sent":      func(c *Context) expr.Value { return c.attemptSizes(func(a *Attempt) int64 { return a.BytesSent }) },
	"upstream_unresolved_host": func(c *Context) expr.Value { return present(c.Upstream.UnresolvedHost) },
	"balancer_ip":              func(c *Context) expr.Value { return present(c.Upstream.IP) },
	"balancer_port":            func(c *Context) expr.Value { return portVar(c.Upstream.Port) },

	// These have values before the upstream is called, and if it never is.
	"upstream_scheme": func(c *Context) expr.Value {
		if c.Upstream.Scheme == "" {
			return expr.Text("http")
		}
		return expr.Text(c.Upstream.Scheme)
	},
	"upstream_host": func(c *Context) expr.Value {
		if c.Upstream.Sent == nil {
			return present(c.Request.Host())
		}
		return present(c.Upstream.Sent.UpstreamHost())
	},
	// The target that a plugin has made; empty if the upstream gets the client's.
	"upstream_uri": func(c *Context) expr.Value { return expr.Text(c.UpstreamTarget) },
}

// attempts calls fn for each attempt; none if no node was called.
func (c *Context) attempts(fn func(*Attempt) string) expr.Value {
	u := &c.Upstream
	if u.Addr == "" {
		return expr.Value{}
	}
	var b strings.Builder
	for i := range u.Earlier {
		b.WriteString(fn(&u.Earlier[i]) + ", ")
	}
	b.WriteString(fn(&u.Attempt))
	return expr.Text(b.String())
}

// attemptTimes are seconds; - of what an attempt has not come to.
func (c *Context) attemptTimes(of func(*Attempt) time.Duration) expr.Value {
	return c.attempts(func(a *Attempt) string {
		if d := of(a); d > 0 {
			return secondsText(d)
		}
		return "-"
	})
}

func (c *Context) attemptSizes(of func(*Attempt) int64) expr.Value {
	return c.attempts(func(a *Attempt) string { return strconv.FormatInt(of(a), 10) })
}

func portVar(port int) expr.Value {
	if port == 0 {
		return expr.Value{}
	}
	return number(int64(port))
}
