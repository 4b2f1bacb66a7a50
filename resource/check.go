package resource

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"millrace/internal/expr"
	"millrace/internal/jsonvalue"
)

// checkAlternatives words better than the schema what it would find too.
func checkAlternatives(doc any) error {
	object, _ := doc.(map[string]any)
	for _, name := range []string{"host", "remote_addr"} {
		if has(object, name) && has(object, name+"s") {
			return invalidf("only one of %s or %ss is allowed", name, name)
		}
	}
	return nil
}

func has(object map[string]any, name string) bool {
	_, ok := object[name]
	return ok
}

// text answers a string member, "" if it is absent.
func text(object map[string]any, name string) string {
	s, _ := object[name].(string)
	return s
}

// checkReference makes the check that what the id in field names exists.
func checkReference(field, folder, word string) check {
	return func(doc map[string]any, w *World) error {
		id, ok := doc[field]
		if !ok || w.Refs == nil || isReference(id) {
			return nil
		}
		stored, err := w.Refs(folder, fmt.Sprint(id))
		if err != nil {
			return fmt.Errorf("fetching %s %v: %w", word, id, err)
		}
		if stored == nil {
			return invalidf("failed to fetch %s info by %s id [%v], response code: 404", word, word, id)
		}
		return nil
	}
}

// isReference reports whether a value stands for a secret kept elsewhere.
func isReference(v any) bool {
	s, _ := v.(string)
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "$secret://") || strings.HasPrefix(s, "$env://")
}

func checkInlineUpstream(doc map[string]any, w *World) error {
	upstream, ok := doc["upstream"].(map[string]any)
	if !ok {
		return nil
	}
	return checkUpstream(upstream, w)
}

func checkUpstream(u map[string]any, w *World) error {
	if err := checkNodes(u["nodes"]); err != nil {
		return err
	}
	tls, _ := u["tls"].(map[string]any)
	if err := checkClientCertID(tls["client_cert_id"], w.Refs); err != nil {
		return err
	}
	if text(u, "pass_host") == "rewrite" && text(u, "upstream_host") == "" {
		return Invalid("`upstream_host` can't be empty when `pass_host` is `rewrite`")
	}
	if err := checkKeyPair(text(tls, "client_cert"), text(tls, "client_key")); err != nil {
		return err
	}
	return checkHashKey(u)
}

func checkNodes(nodes any) error {
	if weights, ok := nodes.(map[string]any); ok {
		for _, addr := range slices.Sorted(maps.Keys(weights)) {
			if _, _, err := SplitAddr(addr); err != nil {
				return Invalid(err.Error())
			}
		}
	}
	list, _ := nodes.([]any)
	for _, item := range list {
		node, _ := item.(map[string]any)
		if host := text(node, "host"); strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[") {
			return Invalid("invalid configuration: IPv6 address must be enclosed with '[' and ']'")
		}
	}
	return nil
}

func checkClientCertID(id any, refs Refs) error {
	if id == nil || refs == nil || isReference(id) {
		return nil
	}
	stored, err := refs("ssls", fmt.Sprint(id))
	if err != nil {
		return fmt.Errorf("fetching ssl %v: %w", id, err)
	}
	if stored == nil {
		return invalidf("failed to fetch ssl info by ssl id [%v], response code: 404", id)
	}
	if gjson.GetBytes(stored, "type").String() != "client" {
		return invalidf("failed to fetch ssl info by ssl id [%v], wrong ssl type", id)
	}
	return nil
}

// hashKeys are the patterns of an upstream's key for each hash_on that has one.
var hashKeys = map[string]*regexp.Regexp{
	"vars":   regexp.MustCompile(`^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$`),
	"header": regexp.MustCompile(`^[a-zA-Z0-9-_]+$`),
	"cookie": regexp.MustCompile(`^[a-zA-Z0-9-_]+$`),
}

func checkHashKey(u map[string]any) error {
	if text(u, "type") != "chash" {
		return nil
	}
	on := text(u, "hash_on")
	if on == "consumer" {
		return nil
	}
	if !has(u, "key") {
		return Invalid("missing key")
	}
	if on == "" {
		on = "vars"
	}
	key := text(u, "key")
	if pattern, ok := hashKeys[on]; ok && !pattern.MatchString(key) && !isReference(key) {
		return invalidf(`invalid configuration: failed to match pattern "%s" with "%s"`, strings.ReplaceAll(pattern.String(), `\`, `\\`), key)
	}
	return nil
}

func checkVars(doc map[string]any, _ *World) error { return checkExpression(doc["vars"]) }

// checkExpression checks an expression as in vars and _meta.filter; nil is the
// expression that is not there.
func checkExpression(v any) error {
	if v == nil {
		return nil
	}
	raw, err := jsonvalue.Encode(v)
	if err != nil {
		return fmt.Errorf("encoding expression: %w", err)
	}
	if _, err := expr.Compile(raw); err != nil {
		return invalidf("failed to validate the 'vars' expression: %s", err)
	}
	return nil
}

// checkSuperior checks that the stream route which one belongs to exists.
func checkSuperior(doc map[string]any, w *World) error {
	protocol, _ := doc["protocol"].(map[string]any)
	return checkReference("superior_id", "stream_routes", "stream route")(protocol, w)
}
