package plugin

import (
	"net/netip"
	"strings"
	"time"

	"millrace/internal/expr"
)

// Client is what the front can tell about the client's connection beyond Conn. Each
// answer is found when it is asked for.
type Client interface {
	// Peer is the other end, which is not the client where a header has named one;
	// the zero value for a Unix socket.
	Peer() netip.AddrPort
	// Balancer is what the PROXY protocol has said: for whom the connection was opened
	// and where to. Both are zero without it.
	Balancer() (source, destination netip.AddrPort)
	// Serial counts the connections of this process, Requests those of the connection
	// with the present one.
	Serial() int64
	Requests() int64
	Opened() time.Time
	// Pipelined tells whether the request was sent before the last was answered.
	Pipelined() bool
	// TCP is what the kernel says, ok false if it says nothing.
	TCP() (info TCPInfo, ok bool)
	// CheckCertificate says what is wrong with the certificate that the client has
	// shown, nil if nothing is.
	CheckCertificate() error
}

// TCPInfo are times in microseconds, a number of segments and one of bytes.
type TCPInfo struct{ RTT, RTTVar, SndCwnd, RcvSpace int64 }

// clientVariables are those of the client's connection.
var clientVariables = map[string]func(c *Context) expr.Value{
	"scheme":          func(c *Context) expr.Value { return expr.Text(c.Conn.Scheme) },
	"https":           func(c *Context) expr.Value { return when(c.Conn.Scheme == "https", "on") },
	"server_protocol": func(c *Context) expr.Value { return expr.Text(c.Conn.Proto) },
	"http2":           (*Context).http2Var,
	"http3":           func(c *Context) expr.Value { return when(strings.HasPrefix(c.Conn.Proto, "HTTP/3"), "h3") },
	"server_addr":     func(c *Context) expr.Value { return expr.Text(c.Conn.ServerAddr) },
	"server_port":     func(c *Context) expr.Value { return number(int64(c.Conn.ServerPort)) },

	"remote_addr":        func(c *Context) expr.Value { return expr.Text(c.Conn.RemoteAddr) },
	"remote_port":        func(c *Context) expr.Value { return number(int64(c.Conn.RemotePort)) },
	"binary_remote_addr": (*Context).binaryAddr,
	"realip_remote_addr": func(c *Context) expr.Value {
		if c.Conn.Client == nil || !c.Conn.Client.Peer().IsValid() {
			return expr.Text(c.Conn.RemoteAddr)
		}
		return addrVar(c.Conn.Client.Peer())
	},
	"realip_remote_port": func(c *Context) expr.Value {
		return c.clientVar(func(cl Client) expr.Value { return addrPortVar(cl.Peer()) })
	},

	"proxy_protocol_addr":        func(c *Context) expr.Value { return c.balancerVar(addrVar, 0) },
	"proxy_protocol_port":        func(c *Context) expr.Value { return c.balancerVar(addrPortVar, 0) },
	"proxy_protocol_server_addr": func(c *Context) expr.Value { return c.balancerVar(addrVar, 1) },
	"proxy_protocol_server_port": func(c *Context) expr.Value { return c.balancerVar(addrPortVar, 1) },

	"connection": func(c *Context) expr.Value {
		return c.clientVar(func(cl Client) expr.Value { return number(cl.Serial()) })
	},
	"connection_requests": func(c *Context) expr.Value {
		return c.clientVar(func(cl Client) expr.Value { return number(cl.Requests()) })
	},
	"connection_time": func(c *Context) expr.Value {
		return c.clientVar(func(cl Client) expr.Value { return seconds(time.Since(cl.Opened())) })
	},
	"pipe": func(c *Context) expr.Value {
		if c.Conn.Client != nil && c.Conn.Client.Pipelined() {
			return expr.Text("p")
		}
		return expr.Text(".")
	},
}

// clientVar is absent where nothing is known of the client's connection.
func (c *Context) clientVar(of func(Client) expr.Value) expr.Value {
	if c.Conn.Client == nil {
		return expr.Value{}
	}
	return of(c.Conn.Client)
}

func (c *Context) balancerVar(of func(netip.AddrPort) expr.Value, side int) expr.Value {
	return c.clientVar(func(cl Client) expr.Value {
		source, destination := cl.Balancer()
		return of([2]netip.AddrPort{source, destination}[side])
	})
}

func addrVar(a netip.AddrPort) expr.Value {
	if !a.IsValid() {
		return expr.Value{}
	}
	return expr.Text(a.Addr().Unmap().String())
}

func addrPortVar(a netip.AddrPort) expr.Value { return portVar(int(a.Port())) }

// binaryAddr is the client's address in 4 or 16 bytes.
func (c *Context) binaryAddr() expr.Value {
	addr, err := netip.ParseAddr(c.Conn.RemoteAddr)
	if err != nil {
		return expr.Value{}
	}
	return expr.Text(string(addr.AsSlice()))
}

func (c *Context) http2Var() expr.Value {
	if c.Conn.TLS != nil {
		return when(strings.HasPrefix(c.Conn.Proto, "HTTP/2"), "h2")
	}
	return when(strings.HasPrefix(c.Conn.Proto, "HTTP/2"), "h2c")
}

// tcpVar is tcpinfo_NAME.
func (c *Context) tcpVar(name string) expr.Value {
	if c.Conn.Client == nil {
		return expr.Value{}
	}
	info, ok := c.Conn.Client.TCP()
	if !ok {
		return expr.Value{}
	}
	switch name {
	case "rtt":
		return number(info.RTT)
	case "rttvar":
		return number(info.RTTVar)
	case "snd_cwnd":
		return number(info.SndCwnd)
	case "rcv_space":
		return number(info.RcvSpace)
	}
	return expr.Value{}
}
