package config

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// scalar is a single value: parse answers false if the text is not what want says.
func scalar[T any](to *T, want string, parse func(text string) (T, bool)) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			if v, ok := parse(n.Value); ok {
				*to = v
				return
			}
		}
		d.want(n, key, want)
	})
}

func boolean(to *bool) field {
	return scalar(to, "true or false", func(text string) (bool, bool) {
		switch strings.ToLower(text) {
		case "true", "on", "yes":
			return true, true
		case "false", "off", "no":
			return false, true
		}
		return false, false
	})
}

func text(to *string) field {
	return scalar(to, "a text", func(text string) (string, bool) { return text, true })
}

// oneOf is a text out of a few.
func oneOf(to *string, allowed ...string) field {
	return scalar(to, strings.Join(allowed[:len(allowed)-1], ", ")+" or "+allowed[len(allowed)-1], func(text string) (string, bool) {
		for _, a := range allowed {
			if text == a {
				return text, true
			}
		}
		return "", false
	})
}

// integer is a whole number, at least least.
func integer(to *int, least int) field {
	return scalar(to, "a whole number, at least "+strconv.Itoa(least), func(text string) (int, bool) {
		v, err := strconv.Atoi(text)
		return v, err == nil && v >= least
	})
}

func duration(to *time.Duration) field {
	return scalar(to, "a duration such as 500ms, 60s or 5m (a bare number counts seconds)", parseDuration)
}

// maxDuration keeps sums of durations far from overflow.
const maxDuration = 100 * 365 * 24 * time.Hour

// parseDuration reads nginx's form, in which a bare number counts seconds and d
// is a day, and Go's.
func parseDuration(text string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.ParseUint(days, 10, 14)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	v, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
	return v, err == nil && v >= 0 && v <= maxDuration
}

// size is a number of bytes; a bare number counts units of unit bytes.
func size(to *int64, unit int64) field {
	want := "a size such as 512k, 256MB or 1g"
	switch unit {
	case 1:
		want += " (a bare number counts bytes)"
	case 1 << 20:
		want += " (a bare number counts megabytes)"
	}
	return scalar(to, want, func(text string) (int64, bool) { return parseSize(text, unit) })
}

var sizePattern = regexp.MustCompile(`^(?i)(\d{1,15})\s*([kmgt]?)(i?b)?$`)

func parseSize(text string, unit int64) (int64, bool) {
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	switch strings.ToLower(m[2]) {
	case "k":
		unit = 1 << 10
	case "m":
		unit = 1 << 20
	case "g":
		unit = 1 << 30
	case "t":
		unit = 1 << 40
	default:
		if m[3] != "" {
			unit = 1
		}
	}
	if n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// list is a sequence whose elements are read by a field made for each; it
// replaces what was there.
func list[T any](to *[]T, element func(*T) field) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			d.want(n, key, "a list")
			return
		}
		values := make([]T, 0, len(n.Content))
		for i, e := range d.elements(key, n) {
			var v T
			element(&v).decode(d, index(key, i), e)
			values = append(values, v)
		}
		*to = values
	})
}

// baseURL is where something is reached from elsewhere: a scheme, a host, and
// perhaps a port and a path.
func baseURL(to *string) field {
	return scalar(to, "a URL such as https://apis.example.com", func(text string) (string, bool) {
		u, err := url.Parse(text)
		return text, text == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
			u.User == nil && u.RawQuery == "" && u.Fragment == ""
	})
}

func prefix(to *netip.Prefix) field {
	return scalar(to, "an IP address or a network such as 10.0.0.0/8", func(text string) (netip.Prefix, bool) {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			return netip.PrefixFrom(addr, addr.BitLen()), true
		}
		p, err := netip.ParsePrefix(text)
		return p.Masked(), err == nil
	})
}

// noEffect is a key that the original knows and that does nothing here, which
// is worth a word if it asks for something.
func noEffect(reason string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if !blank(n) {
			d.warn(n, key, reason)
		}
	})
}

// shipped is noEffect for a key that APISIX's own configuration has with a value
// that asks for nothing.
func shipped(value, reason string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value != value {
			noEffect(reason).decode(d, key, n)
		}
	})
}

// movedTo is a key that release 2 of APISIX had elsewhere.
func movedTo(now string, f field) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		d.moved = append(d.moved, fmt.Sprintf("%s (line %d) is now %s", key, n.Line, now))
		f.decode(d, key, n)
	})
}

// noEffects gives several keys the same reason.
func (o object) noEffects(reason string, names ...string) object {
	for _, name := range names {
		o[name] = noEffect(reason)
	}
	return o
}

// blank tells whether a value asks for nothing: false, empty, or a mapping of such.
func blank(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value == "" || n.Value == "false" || n.Value == "off" || n.ShortTag() == "!!null"
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			if !blank(n.Content[i]) {
				return false
			}
		}
		return true
	}
	return false
}

// only is a text that can have one value, which is what happens anyway.
func only(value string) field {
	return scalar(new(string), strconv.Quote(value)+", there is no other here", func(text string) (string, bool) {
		return text, text == value
	})
}

func port(to *int) field {
	return scalar(to, "a port number, 0 to 65535", func(text string) (int, bool) {
		v, err := strconv.ParseUint(text, 10, 16)
		return int(v), err == nil
	})
}

func ip(to *netip.Addr) field {
	return scalar(to, "an IP address", func(text string) (netip.Addr, bool) {
		if text == "localhost" {
			text = "127.0.0.1"
		}
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		return addr, err == nil
	})
}
