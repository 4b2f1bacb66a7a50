package conformance

import (
	"encoding/base64"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// variables are what {{…}} in a script stands for; see README.md.
type variables struct {
	values    map[string]string
	authority *authority
}

func newVariables(target Target) *variables {
	v := &variables{values: map[string]string{}, authority: newAuthority()}
	maps.Copy(v.values, target.Vars)
	for part, base := range target.Bases {
		v.values[part] = base
		v.address(part, address(base))
	}
	v.values["admin_key"] = target.AdminKey
	v.values["whisk_key"] = target.WhiskKey
	v.values["whisk_auth"] = base64.StdEncoding.EncodeToString([]byte(target.WhiskKey))
	v.values["whisk_uuid"], _, _ = strings.Cut(target.WhiskKey, ":")
	return v
}

// address gives an address of host:port its three names.
func (v *variables) address(name, addr string) {
	v.values[name+"_addr"] = addr
	if host, port, err := net.SplitHostPort(addr); err == nil {
		v.values[name+"_host"], v.values[name+"_port"] = host, port
	}
}

// address is host:port of a base URL, or of what is one already.
func address(base string) string {
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		return u.Host
	}
	return base
}

// repetition is {{text*count}}, made what the runner makes itself: {{cert names}}.
var (
	repetition = regexp.MustCompile(`\{\{([^{}*]+)\*([0-9]{1,8})\}\}`)
	made       = regexp.MustCompile(`\{\{(cert|key|base64) ([^{}]+)\}\}|\{\{ca\}\}`)
)

// expand puts the variables, what is made and the repetitions into text.
func (v *variables) expand(text string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	for name, value := range v.values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	text = made.ReplaceAllStringFunc(text, func(found string) string {
		parts := made.FindStringSubmatch(found)
		switch parts[1] {
		case "cert":
			return quoted(v.authority.pair(parts[2]).cert)
		case "key":
			return quoted(v.authority.pair(parts[2]).key)
		case "base64":
			return base64.StdEncoding.EncodeToString([]byte(parts[2]))
		}
		return quoted(v.authority.pem)
	})
	return repetition.ReplaceAllStringFunc(text, func(found string) string {
		parts := repetition.FindStringSubmatch(found)
		count, _ := strconv.Atoi(parts[2]) // digits, and few of them
		return strings.Repeat(parts[1], count)
	})
}

// quoted is PEM text as it stands inside of a JSON string.
func quoted(pem string) string { return strings.ReplaceAll(pem, "\n", `\n`) }

// givenVars are the variables that only Target.Vars has.
var givenVars = []string{"norate_auth", "norate_namespace", "noroom_auth"}

// lacking answers the first variable that a case reads and nobody gives: one of
// givenVars, or the address of a part that is not there. It is empty without one.
func (v *variables) lacking(c *testCase) string {
	names := slices.Clone(givenVars)
	for _, part := range parts {
		names = append(names, part, part+"_addr", part+"_host", part+"_port")
	}
	for _, name := range names {
		if _, known := v.values[name]; !known && c.reads("{{"+name+"}}") {
			return name
		}
	}
	return ""
}

// reads tells whether the request of a case has a text in it.
func (c *testCase) reads(text string) bool {
	return strings.Contains(c.path, text) || strings.Contains(c.body, text) ||
		slices.ContainsFunc(c.header, func(h field) bool { return strings.Contains(h.value, text) })
}
