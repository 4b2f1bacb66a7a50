package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// finish applies what depends on several keys, and checks them against each other.
func (k *keys) finish(d *decoder) {
	k.finishFunctions(d)
	k.finishKeys(d)
	k.finishAdminTLS(d)
	k.finishStreams(d)
	k.finishListeners()
	k.finishRoles(d)
	k.finishSource(d)
	_, k.c.Gateway.TLS.Given = d.given["apisix.ssl"]
	k.finishAccessLog(d)
	for _, key := range k.saltKey {
		if ring := &k.c.Gateway.DataEncryption.Keyring; !slices.Contains(*ring, key) {
			*ring = append(slices.Clone(*ring), key) // to decrypt with
		}
	}
	_, byNginx := d.given["nginx_config.error_log_level"]
	if _, own := d.given["log.level"]; byNginx && !own {
		k.c.Log.Level = k.errorLevel
	}
	l := &k.c.Functions.Limits
	between(d, "action_timeout", &l.MinActionTimeout, &l.DefaultActionTimeout, &l.MaxActionTimeout)
	between(d, "action_memory", &l.MinActionMemory, &l.DefaultActionMemory, &l.MaxActionMemory)
	between(d, "action_logs", &l.MinActionLogs, &l.DefaultActionLogs, &l.MaxActionLogs)
	if a := k.c.Admin; !a.KeyRequired && k.c.Has(RoleAdmin) && !a.Listen.Loopback() && !onlyLoopback(a.AllowFrom) {
		d.warnings = append(d.warnings, fmt.Sprintf("%s: deployment.admin.admin_key_required is false: whoever reaches %s can change every route",
			d.file, a.Listen.Address()))
	}
}

// finishAccessLog: whoever says something of the access log wants one, where APISIX
// has it unless the file says where.
func (k *keys) finishAccessLog(d *decoder) {
	l := &k.c.Gateway.AccessLog
	if _, named := d.given["nginx_config.http.access_log"]; named {
		return
	}
	for _, key := range []string{"enable_access_log", "access_log_format", "access_log_format_escape", "access_log_buffer"} {
		if _, given := d.given["nginx_config.http."+key]; given {
			l.Path, l.Implied = "logs/access.log", true
		}
	}
}

// finishAdminTLS refuses TLS without a certificate.
func (k *keys) finishAdminTLS(d *decoder) {
	t := &k.c.Admin.TLS
	if !t.Enabled || t.Cert != "" && t.Key != "" {
		return
	}
	for _, key := range []string{"deployment.admin.https_admin", "apisix.https_admin"} {
		if at, ok := d.given[key]; ok {
			d.fail(at, key, "TLS needs admin_ssl_cert and admin_ssl_cert_key in admin_api_mtls beside it")
			return
		}
	}
}

// finishKeys refuses two sources for one key, and warns of keys that travel in clear.
func (k *keys) finishKeys(d *decoder) {
	f, o := &k.c.Functions, &k.c.Operator
	if f.MasterKey != "" && f.MasterKeyFile != "" {
		d.fail(d.given["functions.master_key_file"], "functions.master_key_file", "functions.master_key is given too; leave out one of them")
	}
	if o.Key != "" && o.KeyFile != "" {
		d.fail(d.given["operator.key_file"], "operator.key_file", "operator.key is given too; leave out one of them")
	}
	if k.c.Has(RoleOperator) && !o.Listen.Loopback() {
		d.warnings = append(d.warnings, fmt.Sprintf("%s: operator.listen: keys of namespaces would travel in clear between other machines and %s: put a TLS proxy before it",
			d.file, o.Listen.Address()))
	}
}

// finishFunctions opens the functions API to other machines once nobody can know
// its keys, unless the file says where it listens. The API gateway follows it.
func (k *keys) finishFunctions(d *decoder) {
	_, listen := d.given["functions.listen"]
	_, users := d.given["functions.users"]
	f := &k.c.Functions
	if !listen && users && len(f.Users) > 0 && len(k.c.WellKnownUsers()) == 0 {
		for i := range f.Listen {
			f.Listen[i].Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), f.Listen[i].Addr.Port())
		}
	}
	if _, given := d.given["functions.api_gateway_listen"]; !given && len(f.Listen) > 0 {
		l := &f.APIGatewayListen[0]
		l.Addr = netip.AddrPortFrom(f.Listen[0].Addr.Addr(), l.Addr.Port())
	}
}

func (k *keys) finishListeners() {
	c, network := k.c, "tcp"
	if !k.ipv6 {
		network = "tcp4"
	}
	for _, all := range [][]Listener{c.Gateway.Listen, c.Gateway.TLS.Listen, c.Gateway.ProxyProtocol.Listen, c.Gateway.ProxyProtocol.ListenTLS} {
		for i := range all {
			all[i].HTTP2 = all[i].HTTP2 || k.http2
		}
	}
	each := [][]Listener{c.Gateway.Listen, c.Gateway.TLS.Listen, c.Gateway.ProxyProtocol.Listen, c.Gateway.ProxyProtocol.ListenTLS,
		c.Functions.Listen, c.Functions.APIGatewayListen, c.Console.Listen, c.Gateway.Stream.UDP}
	for _, all := range each {
		for i := range all {
			all[i].Network = networkFor(all[i].Addr.Addr(), network)
		}
	}
	for _, l := range []*Listener{&c.Admin.Listen, &c.Gateway.Control.Listen, &c.Gateway.Prometheus.Listen, &c.Gateway.Status.Listen, &c.Operator.Listen} {
		l.Network = networkFor(l.Addr.Addr(), network)
	}
	for i := range c.Gateway.Stream.TCP {
		l := &c.Gateway.Stream.TCP[i]
		l.Network = networkFor(l.Addr.Addr(), network)
	}
}

// networkFor: an IPv6 address in the file is meant even where wildcards are not
// to take IPv6 clients.
func networkFor(addr netip.Addr, network string) string {
	if addr.Is6() {
		return "tcp"
	}
	return network
}

// finishRoles leaves out what deployment.role excludes, unless roles are named.
func (k *keys) finishRoles(d *decoder) {
	if _, named := d.given["roles"]; named {
		return
	}
	without := map[string]Role{"control_plane": RoleGateway, "data_plane": RoleAdmin}[k.role]
	k.c.Roles = slices.DeleteFunc(k.c.Roles, func(r Role) bool { return r == without })
}

// between checks min ≤ default ≤ max of a limit of actions. A default that the
// file does not name follows the bounds that it does.
func between[T cmp.Ordered](d *decoder, name string, least, preset, most *T) {
	key := func(which string) string { return "functions.limits." + which + "_" + name }
	report := func(which, problem string) {
		for _, w := range []string{which, "min", "max", "default"} {
			if at, ok := d.given[key(w)]; ok {
				d.fail(at, key(w), "%s", problem)
				return
			}
		}
	}
	if *least > *most {
		report("max", "the minimum is above the maximum")
		return
	}
	if _, named := d.given[key("default")]; !named {
		*preset = min(max(*preset, *least), *most)
	} else if *preset < *least || *preset > *most {
		report("default", "the default is not between the minimum and the maximum")
	}
}
