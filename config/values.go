package config

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"millrace/internal/sealed"
)

// ParseRoles reads role names, given one by one or joined by commas.
func ParseRoles(names []string) ([]Role, error) {
	wanted := make(map[Role]bool)
	for _, name := range strings.Split(strings.Join(names, ","), ",") {
		wanted[Role(strings.TrimSpace(name))] = true
	}
	var out []Role
	for _, r := range AllRoles() {
		if wanted[r] {
			out = append(out, r)
			delete(wanted, r)
		}
	}
	for r := range wanted {
		return nil, fmt.Errorf("unknown role %q; the roles are functions, operator, gateway, admin and console", r)
	}
	return out, nil
}

func roles(to *[]Role) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		var names []string
		list(&names, text).decode(d, key, n)
		if n.Kind != yaml.SequenceNode {
			return
		}
		parsed, err := ParseRoles(names)
		if err != nil {
			d.fail(n, key, "%s", err)
			return
		}
		*to = parsed
	})
}

func logLevel(to *slog.Level) field {
	return scalar(to, "debug, info, warn or error", func(text string) (slog.Level, bool) {
		level, ok := map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}[text]
		return level, ok
	})
}

// errorLogLevel takes nginx's levels.
func errorLogLevel(to *slog.Level) field {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "notice": slog.LevelInfo, "warn": slog.LevelWarn,
		"error": slog.LevelError, "crit": slog.LevelError, "alert": slog.LevelError, "emerg": slog.LevelError,
	}
	return scalar(to, "debug, info, notice, warn, error, crit, alert or emerg", func(text string) (slog.Level, bool) {
		level, ok := levels[text]
		return level, ok
	})
}

// workers is a number, or auto for as many as there are processors.
func workers(to *int) field {
	return scalar(to, "auto, or a number of processors, at least 1", func(text string) (int, bool) {
		if text == "auto" {
			return 0, true
		}
		n, err := strconv.Atoi(text)
		return n, err == nil && n >= 1
	})
}

func autoSize(to *int64) field {
	return scalar(to, "auto, or a size such as 512MB or 4g (a bare number counts megabytes)", func(text string) (int64, bool) {
		if text == "auto" {
			return 0, true
		}
		return parseSize(text, 1<<20)
	})
}

func systemOrFile(to *string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		text(to).decode(d, key, n)
		if *to == "system" {
			*to = ""
		}
	})
}

// realIPFrom is a list of networks; unix:, which is nginx's word for its own
// sockets, is passed over because nothing listens on one.
func realIPFrom(to *[]netip.Prefix) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind == yaml.SequenceNode {
			kept := *n
			kept.Content = nil
			for _, e := range n.Content {
				if e.Value != "unix:" {
					kept.Content = append(kept.Content, e)
				}
			}
			n = &kept
		}
		list(to, prefix).decode(d, key, n)
	})
}

// tlsVersions reads nginx's list of versions, "TLSv1.2 TLSv1.3".
func tlsVersions(to *TLS) field {
	versions := map[string]uint16{
		"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
	}
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		var lowest, highest uint16
		for _, name := range strings.Fields(n.Value) {
			v, ok := versions[name]
			if !ok {
				lowest = 0
				break
			}
			if lowest == 0 || v < lowest {
				lowest = v
			}
			highest = max(highest, v)
		}
		if lowest == 0 {
			d.want(n, key, "versions out of TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3, separated by spaces")
			return
		}
		to.MinVersion, to.MaxVersion = lowest, highest
	})
}

// keyring is one key or a list of keys of AES length. They are never shown.
func keyring(to *[]string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		nodes := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			nodes = d.elements(key, n)
		}
		ring := make([]string, 0, len(nodes))
		for i, e := range nodes {
			if e.Kind != yaml.ScalarNode || len(e.Value) != 16 && len(e.Value) != 32 {
				d.fail(e, index(key, i), "want a key of 16 or 32 characters")
			}
			ring = append(ring, e.Value)
		}
		if len(ring) == 0 {
			d.fail(n, key, "want at least one key of 16 or 32 characters")
		}
		*to = ring
	})
}

func adminKeys(to *[]AdminKey) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		list(to, adminKey).decode(d, key, n)
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			d.fail(n, key, "want at least one {name, key, role}; to ask for no key at all set deployment.admin.admin_key_required to false")
		}
	})
}

// adminKey is one entry of admin_key. Its key is never shown in a message.
func adminKey(to *AdminKey) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		before := len(d.problems)
		object{"name": text(&to.Name), "key": secret(&to.Key), "role": text(&to.Role)}.decode(d, key, n)
		switch {
		case len(d.problems) > before:
		case to.Name == "" || to.Role == "":
			d.fail(n, key, "want name, key and role (admin, or viewer for reading only)")
		case to.Key == "":
			to.Key, to.Generated = rand.Text()+rand.Text()[:6], true
		}
	})
}

// secret is a text that no message shows.
func secret(to *string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode {
			d.fail(n, key, "want a text")
			return
		}
		*to = n.Value
	})
}

// operatorKey is a key that is too long to be guessed.
func operatorKey(to *string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		secret(to).decode(d, key, n)
		if len(n.Value) < 32 {
			d.fail(n, key, "want a key of at least 32 characters, such as openssl rand -hex 32 makes")
		}
	})
}

// masterKey is a key of internal/sealed.
func masterKey(to *string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		secret(to).decode(d, key, n)
		if _, err := sealed.ParseKey(n.Value); err != nil {
			d.fail(n, key, "%s", err)
		}
	})
}

// users maps namespaces to uuid:key as whisk.users of OpenWhisk does, where a -
// stands for a dot. It replaces the well-known users.
func users(to *[]User) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		namespacePattern := regexp.MustCompile(`^(\w|\w[\w@ .&-]{0,254}[\w@.&-])$`)
		userKeyPattern := regexp.MustCompile(`^([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}):([^:]{64})$`)
		var all []User
		d.eachEntry(key, n, func(name, path string, at, value *yaml.Node) {
			u := User{Namespace: strings.ReplaceAll(name, "-", ".")}
			m := userKeyPattern.FindStringSubmatch(value.Value)
			switch {
			case !namespacePattern.MatchString(u.Namespace):
				d.fail(at, path, "not a valid namespace name")
			case value.Kind != yaml.ScalarNode || m == nil:
				d.fail(value, path, "want uuid:key with a key of exactly 64 characters")
			default:
				u.UUID, u.Secret = strings.ToLower(m[1]), m[2]
				all = append(all, u)
			}
		})
		for i, u := range all {
			for _, other := range all[:i] {
				if other.Namespace == u.Namespace || other.UUID == u.UUID {
					d.fail(n, key, "%s and %s have the same name or uuid", other.Namespace, u.Namespace)
				}
			}
		}
		*to = all
	})
}

// programs maps the given families to programs.
func programs(to *map[string]string, families ...string) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		paths := make([]string, len(families))
		o := make(object, len(families))
		for i, family := range families {
			o[family] = text(&paths[i])
		}
		o.decode(d, key, n)
		*to = make(map[string]string)
		for i, family := range families {
			if paths[i] != "" {
				(*to)[family] = paths[i]
			}
		}
	})
}
