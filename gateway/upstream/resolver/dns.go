package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// client asks name servers.
type client struct {
	conf Config

	mu     sync.Mutex
	system *dns.ClientConfig
	read   time.Time
}

// settings answers the servers and search domains.
func (c *client) settings() *dns.ClientConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.system != nil && time.Since(c.read) < fileValid {
		return c.system
	}
	system, err := dns.ClientConfigFromFile(c.conf.ResolvConf)
	if err != nil {
		if c.system != nil {
			return c.system
		}
		system = &dns.ClientConfig{Ndots: 1, Servers: []string{"127.0.0.1"}, Port: "53"}
	}
	for i, s := range system.Servers {
		system.Servers[i] = net.JoinHostPort(s, system.Port)
	}
	if len(c.conf.Servers) > 0 {
		system.Servers = nil
		for _, s := range c.conf.Servers {
			system.Servers = append(system.Servers, withPort(s))
		}
	}
	if c.conf.NoSearch {
		system.Search = nil
	}
	c.system, c.read = system, time.Now()
	return system
}

// withPort adds the port of DNS to a server that has none.
func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

// addrs answers the addresses of a name and the least TTL of their records.
func (c *client) addrs(ctx context.Context, name string) (addrs []netip.Addr, ttl time.Duration, err error) {
	for _, full := range c.settings().NameList(name) {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			var records []dns.RR
			if records, ttl, err = c.query(ctx, full, kind); err != nil && !errors.Is(err, ErrNotFound) {
				return nil, 0, err
			}
			for _, rr := range records {
				if a, ok := addrOf(rr); ok {
					addrs = append(addrs, a)
				}
			}
			if len(addrs) > 0 {
				return addrs, ttl, nil
			}
		}
	}
	return nil, 0, ErrNotFound
}

func addrOf(rr dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}

// maxAliases bounds how many servers' answers in turn are but other names.
const maxAliases = 8

// query answers the records of a name. An alias is followed that the name server has
// not followed itself, such as one out of its zones.
func (c *client) query(ctx context.Context, name string, kind uint16) (records []dns.RR, ttl time.Duration, err error) {
	least := time.Duration(math.MaxInt64)
	for range maxAliases {
		if records, ttl, err = c.ask(ctx, name, kind); err != nil {
			return nil, 0, err
		}
		least = min(least, ttl)
		if name = aliased(records, kind); name == "" {
			return records, least, nil
		}
	}
	return nil, 0, fmt.Errorf("%s: %w: its aliases do not end", name, ErrNotFound)
}

// aliased is the name that records lead to if none of them is of the kind asked for;
// "" if some are.
func aliased(records []dns.RR, kind uint16) (target string) {
	for _, rr := range records {
		if rr.Header().Rrtype == kind {
			return ""
		}
		if alias, ok := rr.(*dns.CNAME); ok {
			target = alias.Target
		}
	}
	return target
}

// ask asks one server after the other for records, and again by TCP if they do
// not fit a datagram.
func (c *client) ask(ctx context.Context, name string, kind uint16) (records []dns.RR, ttl time.Duration, err error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	m.SetEdns0(1232, false)
	servers := c.settings().Servers
	each := c.conf.Timeout / time.Duration(max(1, len(servers)))
	for _, server := range servers {
		var answer *dns.Msg
		if answer, err = exchange(ctx, m, server, each); err == nil {
			return c.records(answer)
		}
	}
	return nil, 0, cmp.Or(err, errNoServer)
}

var errNoServer = errors.New("no name server")

func exchange(ctx context.Context, m *dns.Msg, server string, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	udp := dns.Client{Timeout: timeout, UDPSize: 1232}
	answer, _, err := udp.ExchangeContext(ctx, m, server)
	if err == nil && answer.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: timeout}
		answer, _, err = tcp.ExchangeContext(ctx, m, server)
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", server, err)
	}
	switch answer.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return answer, nil
	}
	return nil, fmt.Errorf("asking %s: %s", server, dns.RcodeToString[answer.Rcode])
}

// records answers the records of an answer.
func (c *client) records(answer *dns.Msg) ([]dns.RR, time.Duration, error) {
	if answer.Rcode == dns.RcodeNameError || len(answer.Answer) == 0 {
		return nil, 0, ErrNotFound
	}
	least := uint32(1 << 31)
	for _, rr := range answer.Answer {
		least = min(least, rr.Header().Ttl)
	}
	return answer.Answer, time.Duration(least) * time.Second, nil
}

// Records asks DNS for the records of a type (dns.TypeSRV …) and answers them
// with the time for which they may be used. ErrNotFound says that there are none.
func (r *Resolver) Records(ctx context.Context, name string, kind uint16) ([]dns.RR, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, r.conf.Timeout)
	defer cancel()
	err := ErrNotFound
	for _, full := range r.dns.settings().NameList(name) {
		var records []dns.RR
		var ttl time.Duration
		if records, ttl, err = r.dns.query(ctx, full, kind); err == nil {
			return records, r.conf.valid(ttl), nil
		}
		if !errors.Is(err, ErrNotFound) {
			break
		}
	}
	return nil, 0, fmt.Errorf("looking up %s: %w", name, err)
}

// hostsFile is a file of addresses and their names, read again when it changes.
type hostsFile struct {
	path string

	mu       sync.Mutex
	checked  time.Time
	modified time.Time
	names    map[string][]netip.Addr
}

// lookup answers the addresses of a name in lower case.
func (h *hostsFile) lookup(name string) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); now.Sub(h.checked) >= fileValid {
		h.checked = now
		if info, err := os.Stat(h.path); err == nil && !info.ModTime().Equal(h.modified) {
			if text, err := os.ReadFile(h.path); err == nil {
				h.modified, h.names = info.ModTime(), parseHosts(string(text))
			}
		}
	}
	return h.names[strings.TrimSuffix(name, ".")]
}

// parseHosts reads a hosts file. A name with IPv4 addresses has only these.
func parseHosts(text string) map[string][]netip.Addr {
	v4, v6 := map[string][]netip.Addr{}, map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		names := v6
		if addr = addr.Unmap(); addr.Is4() {
			names = v4
		}
		for _, name := range words[1:] {
			name = strings.ToLower(name)
			names[name] = append(names[name], addr)
		}
	}
	for name, addrs := range v4 {
		v6[name] = addrs
	}
	return v6
}
