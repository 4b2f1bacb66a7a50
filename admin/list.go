package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/pcre"
	"millrace/resource"
	"millrace/store"
)

// list answers all resources of a kind that the arguments ask for.
func (c *collection) list(req *call) answer {
	entries, _, err := c.Store.List(req.ctx, c.key(req, ""))
	if err != nil {
		return c.failed(err)
	}
	v2 := c.version() == "v2"
	entries = slices.DeleteFunc(entries, func(e store.Entry) bool { return !c.isListed(e, v2) })
	if c.Folder == "credentials" && len(entries) == 0 {
		return keyNotFound()
	}
	if v2 {
		return c.listedV2(strings.TrimSuffix(c.key(req, ""), "/"), entries)
	}
	if keep := c.filter(req.args); keep != nil {
		entries = slices.DeleteFunc(entries, func(e store.Entry) bool { return !keep(object(e.Value)) })
	}
	total := len(entries)
	entries, isPage, refused := paged(entries, req.args)
	if refused != nil {
		return *refused
	}
	nodes := c.nodes(entries, c.shown)
	body := map[string]any{"total": total, "list": nodes}
	if len(nodes) == 0 && isPage {
		body["list"] = struct{}{} // an empty page of APISIX is an object
	}
	return answer{status: http.StatusOK, body: body}
}

// nodes are entries in the form that form makes of them.
func (c *collection) nodes(entries []store.Entry, form func(store.Entry) (json.RawMessage, error)) []node {
	nodes := make([]node, 0, len(entries))
	for _, e := range entries {
		value, err := form(e)
		if err != nil {
			c.Log.Error("listing the configuration; what cannot be read is left out", "key", e.Key, "error", err)
			continue
		}
		nodes = append(nodes, indexedNode(e, value))
	}
	return nodes
}

// isListed tells whether an entry is a resource of the kind: neither a placeholder
// nor something below one of its resources, which only v2 shows.
func (c *collection) isListed(e store.Entry, v2 bool) bool {
	folder, _, ok := resource.SplitKey(e.Key)
	if !ok || folder != c.Folder && !(v2 && c.Folder == "consumers") {
		return false
	}
	value := bytes.TrimSpace(e.Value)
	return len(value) > 0 && value[0] == '{'
}

// paged answers the page that the arguments name, or all.
func paged(entries []store.Entry, args url.Values) (page []store.Entry, isPage bool, refused *answer) {
	number, errPage := strconv.ParseFloat(args.Get("page"), 64)
	size, errSize := strconv.ParseFloat(args.Get("page_size"), 64)
	if errPage != nil || errSize != nil {
		return entries, false, nil
	}
	if !(size >= 10 && size <= 500) {
		return nil, true, &answer{status: http.StatusBadRequest, body: msgPageSize}
	}
	slices.SortStableFunc(entries, func(a, b store.Entry) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) })
	n := int(size)
	last := len(entries)/n + 1
	from := (int(min(max(number, 1), float64(last+1))) - 1) * n
	if from >= len(entries) {
		return nil, true, nil
	}
	return entries[from:min(from+n, len(entries))], true, nil
}

// filter makes the condition that the arguments of a list say, all of them
// joined by AND; nil if they say none.
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
			conditions = append(conditions, func(doc map[string]any) bool { return resource.TextOf(doc[field]) == value })
		}
	}
	if conditions == nil {
		return nil
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
