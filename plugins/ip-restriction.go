package plugins

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"millrace/plugin"
)

const (
	// ipDef is an address or a range of addresses, as APISIX's schemas have it.
	ipDef = `{"anyOf":[
		{"title":"IPv4","type":"string","format":"ipv4"},
		{"title":"IPv4/CIDR","type":"string","pattern":"^([0-9]{1,3}\\.){3}[0-9]{1,3}/([12]?[0-9]|3[0-2])$"},
		{"title":"IPv6","type":"string","format":"ipv6"},
		{"title":"IPv6/CIDR","type":"string","pattern":"^([a-fA-F0-9]{0,4}:){1,8}(:[a-fA-F0-9]{0,4}){0,8}([a-fA-F0-9]{0,4})?/[0-9]{1,3}$"}]}`

	ipRestrictionSchema = `{"type":"object",
	"properties":{
		"message":{"type":"string","minLength":1,"maxLength":1024,"default":"Your IP address is not allowed"},
		"response_code":{"type":"integer","minimum":403,"maximum":404,"default":403},
		"whitelist":{"type":"array","items":` + ipDef + `,"minItems":1},
		"blacklist":{"type":"array","items":` + ipDef + `,"minItems":1}
	},
	"oneOf":[{"required":["whitelist"]},{"required":["blacklist"]}]}`
)

func init() { plugin.Register[ipRestriction]("ip-restriction", 3000, ipRestrictionSchema) }

// ipRestriction refuses clients by their address.
type ipRestriction struct {
	Message      string   `json:"message"`
	ResponseCode int      `json:"response_code"`
	Whitelist    []string `json:"whitelist"`
	Blacklist    []string `json:"blacklist"`

	allowed, refused addresses
}

var (
	_ plugin.Checker  = (*ipRestriction)(nil)
	_ plugin.Accesser = (*ipRestriction)(nil)
)

// Check reads the addresses.
func (p *ipRestriction) Check() (err error) {
	if p.allowed, err = parseAddresses(p.Whitelist); err != nil {
		return err
	}
	p.refused, err = parseAddresses(p.Blacklist)
	return err
}

// Access lets the client pass or answers.
func (p *ipRestriction) Access(c *plugin.Context) error {
	addr, err := netip.ParseAddr(c.Conn.RemoteAddr)
	addr = addr.Unmap().WithZone("")
	if err == nil && !p.refused.contain(addr) && (p.Whitelist == nil || p.allowed.contain(addr)) {
		return nil
	}
	return c.Exit(p.ResponseCode, message{p.Message})
}

// addresses are single addresses and ranges of them.
type addresses struct {
	single map[netip.Addr]bool
	ranges []netip.Prefix
}

func (a *addresses) contain(addr netip.Addr) bool {
	if a.single[addr] {
		return true
	}
	for _, r := range a.ranges {
		if r.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddresses reads addresses and ranges. The error's text is for clients.
func parseAddresses(texts []string) (a addresses, err error) {
	a.single = make(map[netip.Addr]bool, len(texts))
	for _, text := range texts {
		if err := a.add(text); err != nil {
			return a, fmt.Errorf("invalid ip address: %s", text)
		}
	}
	return a, nil
}

func (a *addresses) add(text string) error {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		a.single[addr.Unmap()] = true
		return err
	}
	r, err := netip.ParsePrefix(text)
	if err != nil {
		return err
	}
	if r.Addr().Is4In6() {
		if r.Bits() < 96 {
			return errors.New("a range of both families")
		}
		r = netip.PrefixFrom(r.Addr().Unmap(), r.Bits()-96)
	}
	a.ranges = append(a.ranges, r.Masked())
	return nil
}
