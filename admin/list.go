package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"millrace/internal/pcre"
	"millrace/resource"
)

// list answers all resources of a kind that the arguments ask for.
func (c *collection) list(req *call) answer {
	entries, _, err := c.Store.List(req.ctx, c.key(""))
	if err != nil {
		return c.failed(err)
	}
	v2 := c.version() == "v2"
	keep := c.filter(req.args)
	nodes := []node{}
	for _, e := range entries {
		doc := object(e.Value)
		if doc == nil || strings.HasSuffix(e.Key, "/") {
			continue // a placeholder, or nothing of ours
		}
		if v2 {
			nodes = append(nodes, indexedNode(e, e.Value))
			continue
		}
		if !keep(doc) {
			continue
		}
		resource.Decrypt(doc, c.Keyring)
		value, err := encode(doc)
		if err != nil {
			return c.failed(fmt.Errorf("encoding %s: %w", e.Key, err))
		}
		nodes = append(nodes, indexedNode(e, value))
	}
	if v2 {
		return c.listedV2(nodes)
	}
	return paged(nodes, req.args)
}

// paged answers the page that the arguments name, or all.
func paged(nodes []node, args url.Values) answer {
	body := map[string]any{"total": len(nodes), "list": nodes}
	page, errPage := strconv.ParseFloat(args.Get("page"), 64)
	size, errSize := strconv.ParseFloat(args.Get("page_size"), 64)
	if errPage != nil || errSize != nil {
		return answer{status: http.StatusOK, body: body}
	}
	if !(size >= 10 && size <= 500) {
		return answer{status: http.StatusBadRequest, body: msgPageSize}
	}
	sort.SliceStable(nodes, func(i, j int) bool { return nodes[i].CreatedIndex < nodes[j].CreatedIndex })
	n := int(size)
	last := len(nodes)/n + 1
	from := (int(min(max(page, 1), float64(last+1))) - 1) * n
	if from >= len(nodes) {
		body["list"] = struct{}{} // an empty list of APISIX is an object here
	} else {
		body["list"] = nodes[from:min(from+n, len(nodes))]
	}
	return answer{status: http.StatusOK, body: body}
}

// filter makes the condition that the arguments of a list say, all of them
// joined by AND.
func (c *collection) filter(args url.Values) func(doc map[string]any) bool {
	var conditions []func(map[string]any) bool
	if args.Has("name") {
		found := search(args.Get("name"))
		conditions = append(conditions, func(doc map[string]any) bool { return found(doc["name"]) })
	}
	if args.Has("uri") {
		found := search(args.Get("uri"))
		conditions = append(conditions, func(doc map[string]any) bool {
			uris, _ := doc["uris"].([]any)
			return found(doc["uri"]) || slices.ContainsFunc(uris, found)
		})
	}
	if args.Has("label") {
		label := args.Get("label")
		conditions = append(conditions, func(doc map[string]any) bool {
			labels, _ := doc["labels"].(map[string]any)
			return labels[label] != nil
		})
	}
	wanted, _ := url.ParseQuery(args.Get("filter")) // what cannot be read asks for nothing
	for _, field := range c.filters {
		if wanted.Has(field) {
			value := wanted.Get(field)
			conditions = append(conditions, func(doc map[string]any) bool { return textOf(doc[field]) == value })
		}
	}
	return func(doc map[string]any) bool {
		return !slices.ContainsFunc(conditions, func(holds func(map[string]any) bool) bool { return !holds(doc) })
	}
}

// search makes the condition that a pattern is found in a text. A pattern that
// does not compile is found in none.
func search(pattern string) func(any) bool {
	p, err := pcre.Compile(pattern)
	return func(v any) bool {
		text, ok := v.(string)
		return ok && err == nil && p.MatchString(text)
	}
}

// textOf answers a string or number as text.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}
