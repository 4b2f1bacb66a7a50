package config

import (
	"errors"
	"fmt"
	"net/netip"
)

// The credentials of every tutorial. They are no secrets.
const (
	wellKnownAdminKey     = "edd1c9f034335f136f87ad84b625c8f1"
	wellKnownViewerKey    = "4054f7cf07e344346cd3f287985e76a2"
	wellKnownGuestUUID    = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
	wellKnownGuestSecret  = "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	wellKnownSystemUUID   = "789c46b1-71f6-4ed5-8c54-816aa4f8c502"
	wellKnownSystemSecret = "abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// WellKnown tells whether the key is one that everybody knows.
func (k AdminKey) WellKnown() bool {
	return k.Key == wellKnownAdminKey || k.Key == wellKnownViewerKey
}

// WellKnown tells whether the user's key is one that everybody knows.
func (u User) WellKnown() bool {
	return u.Secret == wellKnownGuestSecret || u.Secret == wellKnownSystemSecret
}

// WellKnownAdmin tells whether the Admin API takes a key that everybody knows.
func (c *Config) WellKnownAdmin() bool {
	if !c.Admin.KeyRequired {
		return false
	}
	for _, k := range c.Admin.Keys {
		if k.WellKnown() {
			return true
		}
	}
	return false
}

// WellKnownUsers answers the namespaces whose key everybody knows.
func (c *Config) WellKnownUsers() []string {
	var names []string
	for _, u := range c.Functions.Users {
		if u.WellKnown() {
			names = append(names, u.Namespace)
		}
	}
	return names
}

// CheckExposure answers an error if a listener of the roles to start would take
// a well-known key from another machine, naming the listener and the key to
// set. Call it when flags have been applied.
func (c *Config) CheckExposure() error {
	if c.InsecureWellKnownKeys {
		return nil
	}
	var problems []error
	refuse := func(what string, l Listener, key, remedy string) {
		problems = append(problems, fmt.Errorf("%s on %s would accept the well-known %s from other machines: %s, listen on 127.0.0.1, "+
			"or start with --insecure-well-known-keys", what, l.Address(), key, remedy))
	}
	const ownAdminKey = "set deployment.admin.admin_key to a key of your own"
	const ownUserKeys = "set functions.users to keys of your own"
	admin, users := c.WellKnownAdmin(), len(c.WellKnownUsers()) > 0
	if c.Has(RoleAdmin) && c.Admin.Enabled && admin && !c.Admin.Listen.Loopback() && !onlyLoopback(c.Admin.AllowFrom) {
		refuse("the Admin API", c.Admin.Listen, "admin key", ownAdminKey)
	}
	if c.Has(RoleFunctions) && users {
		for _, l := range exposed(c.Functions.Listen) {
			refuse("the functions API", l, "guest or whisk.system key", ownUserKeys)
		}
		for _, l := range exposed(c.Functions.APIGatewayListen) {
			refuse("the API gateway", l, "guest or whisk.system key", ownUserKeys)
		}
	}
	if c.Has(RoleConsole) && (admin || users) {
		for _, l := range exposed(c.Console.Listen) {
			refuse("the console", l, "keys", ownAdminKey+" and "+ownUserKeys)
		}
	}
	return errors.Join(problems...)
}

// exposed answers the listeners that other machines can reach.
func exposed(all []Listener) []Listener {
	var out []Listener
	for _, l := range all {
		if !l.Loopback() {
			out = append(out, l)
		}
	}
	return out
}

// onlyLoopback tells whether an allow list lets only this machine in. An empty
// list lets everybody in.
func onlyLoopback(allow []netip.Prefix) bool {
	for _, p := range allow {
		if !p.Addr().Unmap().IsLoopback() || p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 128 {
			return false
		}
	}
	return len(allow) > 0
}
