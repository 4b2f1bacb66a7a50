package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"millrace/gateway/acme"
	"millrace/gateway/secret"
	"millrace/gateway/sni"
	"millrace/gateway/upstream"
	"millrace/internal/fieldcrypt"
	"millrace/plugin"
	"millrace/store"
)

// Config is what a Gateway is made of. Log, Store and Env are needed; zero
// values elsewhere stand for nginx's defaults.
type Config struct {
	Log   *slog.Logger
	Store store.Store
	Env   *plugin.Env
	// Check tells why a stored resource cannot be used; nil: those who write to Store
	// have checked it.
	Check func(key string, value []byte) error
	// Keyring decrypts secret fields of stored resources; nil leaves them.
	Keyring *fieldcrypt.Keyring
	// Secrets is how references to secrets kept elsewhere are resolved; its Log is
	// that of the gateway.
	Secrets secret.Settings
	// Always runs for every request, ahead of the plugins of global rules; nil is
	// none.
	Always *plugin.Chain
	// Version stands in the Server header.
	Version string

	// TLS is for the listeners of ServeTLS.
	TLS sni.Settings
	// ACME gets certificates for the ssl objects that ask for them; nil gets none.
	ACME *acme.Manager
	// HTTP2 lets clients speak HTTP/2: on TLS listeners by ALPN, on others with
	// prior knowledge.
	HTTP2 bool

	// Local answers requests whose path is one of LocalPrefixes or below one,
	// for clients on this machine only. Others are routed as if it were not there.
	Local         http.Handler
	LocalPrefixes []string

	// Router is radixtree_host_uri (default), radixtree_uri or
	// radixtree_uri_with_parameter.
	Router string
	// TrustedAddresses are the clients whose X-Forwarded-* headers pass through;
	// nil means that nothing is configured.
	TrustedAddresses []string
	// RealIPFrom are the clients whose X-Real-IP header names the real client;
	// nil means 127.0.0.1 and Unix sockets.
	RealIPFrom []string
	// RealIPHeader is the header that names it, X-Real-IP unless set. Of a list
	// its last address is taken, with RealIPRecursive the last one that is not in
	// RealIPFrom.
	RealIPHeader    string
	RealIPRecursive bool
	// ShowUpstreamStatus adds X-APISIX-Upstream-Status to every proxied answer.
	ShowUpstreamStatus bool
	// HideVersion leaves the version out of the Server header.
	HideVersion bool
	// DropUnderscores drops request headers whose name has an underscore.
	DropUnderscores bool
	// These change the path that routes are matched by, not the one sent on: a
	// final slash is dropped; ";param" is cut off each segment, and what could
	// hide a dot segment is refused; %2F stays part of its segment.
	DeleteTailSlash, ServletPaths, EncodedSlash bool

	// KeepaliveTimeout bounds the wait for another request on an open connection;
	// below 0 each connection serves one request.
	KeepaliveTimeout time.Duration
	// Upstreams is how nodes are found, kept and checked; its Log is that of the
	// gateway. A Keepalive.Size below 0 stands for no idle connections.
	Upstreams upstream.Settings
	// HeaderTimeout bounds the wait for the first request on a connection and for
	// the head of each, BodyTimeout the gap between two reads of a body, SendTimeout that
	// between two writes to a client that does not read.
	HeaderTimeout, BodyTimeout, SendTimeout time.Duration
	// DrainTimeout bounds how long Serve waits for requests in flight when its
	// context ends.
	DrainTimeout time.Duration
	// MaxBody is the largest request body in bytes; 0 is no limit.
	MaxBody int64
	// VarLimits bound the bodies that variables are read from.
	VarLimits plugin.Limits
	// MaxHeaderLine bounds the request line and each header line with its end,
	// MaxHeader all together, in bytes; 0 stands for 8 KiB and 32 KiB.
	MaxHeaderLine, MaxHeader int
	// KeepaliveRequests is how many requests a connection may carry, MaxConns how
	// many connections clients may have; 0 is no limit.
	KeepaliveRequests, MaxConns int
}

func (c *Config) fillDefaults() {
	for _, d := range []*time.Duration{&c.KeepaliveTimeout, &c.HeaderTimeout, &c.BodyTimeout, &c.SendTimeout, &c.DrainTimeout} {
		if *d == 0 {
			*d = 60 * time.Second
		}
	}
	c.fillLimits()
	c.Upstreams.Log, c.Secrets.Log = c.Log, c.Log
	if c.RealIPFrom == nil {
		c.RealIPFrom = []string{"127.0.0.1", "unix:"}
	}
	if c.RealIPHeader == "" {
		c.RealIPHeader = "X-Real-IP"
	}
	if c.Env == nil {
		c.Env = &plugin.Env{Log: c.Log}
	}
}

// peers is a set of clients, by address.
type peers struct {
	set    bool // false if nothing is configured
	unix   bool
	blocks []netip.Prefix
}

// parsePeers reads addresses, CIDR blocks and "unix:".
func parsePeers(list []string) (peers, error) {
	p := peers{set: list != nil}
	for _, s := range list {
		if s == "unix:" {
			p.unix = true
			continue
		}
		if !strings.Contains(s, "/") {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return p, fmt.Errorf("reading address of a trusted client: %w", err)
			}
			p.blocks = append(p.blocks, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		b, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("reading addresses of trusted clients: %w", err)
		}
		p.blocks = append(p.blocks, b.Masked())
	}
	return p, nil
}

// has says whether a client is in the set; the zero address is a Unix socket.
func (p *peers) has(a netip.Addr) bool {
	if !a.IsValid() {
		return p.unix
	}
	for _, b := range p.blocks {
		if b.Contains(a) {
			return true
		}
	}
	return false
}
