package transfer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"millrace/internal/fieldcrypt"
	"millrace/resource"
	"millrace/store"
)

// Resources says how to copy a gateway's resources from an APISIX's store to an
// Admin API.
type Resources struct {
	// From holds them under APISIX's keys, /apisix/routes/1 and so on; Keyring
	// decrypts its secret fields, nil if they are not encrypted.
	From    store.Store
	Keyring *fieldcrypt.Keyring
	// Admin is the URL of the Admin API, AdminKey its key.
	Admin, AdminKey string
	// Overwrite, DryRun and Report are as in Options.
	Overwrite, DryRun bool
	Report            func(Line)
}

// resourceOrder puts what others refer to first.
var resourceOrder = []string{
	"secrets", "ssls", "protos", "upstreams", "plugin_metadata", "plugin_configs", "consumer_groups", "consumers", "credentials",
	"services", "global_rules", "routes", "stream_routes",
}

// CopyResources copies everything. The error says why it could not go on; what the
// destination refuses is reported instead.
func CopyResources(ctx context.Context, o Resources) error {
	entries, _, err := o.From.List(ctx, resource.Prefix)
	if err != nil {
		return fmt.Errorf("reading the source: %w", err)
	}
	rank := func(e store.Entry) int {
		folder, _ := splitKey(e.Key)
		return slices.Index(resourceOrder, folder)
	}
	// Of routes that match the same, the one that was made first is chosen.
	slices.SortStableFunc(entries, func(a, b store.Entry) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.CreateRevision, b.CreateRevision))
	})
	c := &adminClient{Resources: o, http: &http.Client{Timeout: 30 * time.Second}, source: map[string]bool{}}
	for _, e := range entries {
		_, path := splitKey(e.Key)
		c.source[path] = true
	}
	defer c.http.CloseIdleConnections()
	for _, e := range entries {
		if err := c.copy(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// splitKey answers the kind of a resource, and where the Admin API has it.
func splitKey(key string) (folder, path string) {
	path = strings.TrimPrefix(key, resource.Prefix)
	folder, id, _ := strings.Cut(path, "/")
	if now, old := renamed[folder]; old {
		folder, path = now, now+"/"+id
	}
	if folder == "consumers" && strings.Contains(path, "/credentials/") {
		folder = "credentials"
	}
	return folder, path
}

// renamed are the folders that had other names in APISIX 2.
var renamed = map[string]string{"ssl": "ssls", "proto": "protos"}

type adminClient struct {
	Resources
	http *http.Client
	// source has the keys of what is copied.
	source map[string]bool
}

// copy copies one entry, if it is a resource. The error is for what ends the run.
func (c *adminClient) copy(ctx context.Context, e store.Entry) error {
	folder, path := splitKey(e.Key)
	_, id, _ := strings.Cut(path, "/")
	if path == "plugins" {
		c.Report(Line{Outcome: Kept, Kind: "plugins", Note: "which plugins may be used is said in config.yaml"})
	}
	if id == "" || string(e.Value) == "init_dir" || folder == "data_plane" {
		return nil
	}
	line := Line{Kind: kindName(folder), Name: id}
	if !slices.Contains(resourceOrder, folder) {
		line.Outcome, line.Note = Skipped, "there is no such kind of resource here"
		c.Report(line)
		return nil
	}
	doc, err := c.document(e.Value)
	if err == nil {
		line.Outcome, err = c.put(ctx, path, doc)
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		line.Outcome, line.Note = Failed, refused.Error()
	case err != nil:
		return err
	case line.Outcome == Kept:
		line.Note = "the destination has another of this id"
	case line.Outcome == Conflict:
		line.Note = "the destination has another of this id, which --overwrite would replace"
	}
	c.Report(line)
	return nil
}

// document is a resource as a client of the Admin API sends it.
func (c *adminClient) document(value []byte) (map[string]json.RawMessage, error) {
	value, err := resource.DecryptJSON(value, c.Keyring)
	if err != nil {
		return nil, &refusal{text: err.Error()}
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(value, &doc); err != nil {
		return nil, &refusal{text: "it is no JSON object"}
	}
	withoutOwn(doc)
	return doc, nil
}

// withoutOwn takes out what the Admin API itself writes into a resource.
func withoutOwn(doc map[string]json.RawMessage) {
	for _, key := range []string{"id", "create_time", "update_time", "validity_start", "validity_end"} {
		delete(doc, key)
	}
}

func (c *adminClient) put(ctx context.Context, path string, doc map[string]json.RawMessage) (Outcome, error) {
	current, err := c.current(ctx, path)
	there := current != nil
	switch {
	case err != nil:
		return Failed, err
	case there && same(doc, current):
		return Unchanged, nil
	case c.DryRun:
		return c.foresee(ctx, path, doc, there)
	case there && !c.Overwrite:
		return Kept, nil
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return Failed, err
	}
	status, text, err := c.send(ctx, http.MethodPut, path, body)
	switch {
	case err != nil:
		return Failed, err
	case status > 299:
		return Failed, refusalOf(status, text)
	case there:
		return Replaced, nil
	}
	return Created, nil
}

// current is a resource as the destination has it; nil if it has none of this id.
func (c *adminClient) current(ctx context.Context, path string) (map[string]json.RawMessage, error) {
	status, text, err := c.send(ctx, http.MethodGet, path, nil)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return nil, fmt.Errorf("asking the Admin API %s (another key is given by --admin-key): %w", c.Admin, refusalOf(status, text).err())
	case status > 299:
		return nil, refusalOf(status, text)
	}
	var answer struct {
		Value map[string]json.RawMessage `json:"value"`
		Node  struct {                   // of APISIX 2
			Value map[string]json.RawMessage `json:"value"`
		} `json:"node"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("reading what the Admin API has of %s: %w", path, err)
	}
	if answer.Value == nil {
		answer.Value = answer.Node.Value
	}
	if answer.Value == nil {
		answer.Value = map[string]json.RawMessage{}
	}
	withoutOwn(answer.Value)
	return answer.Value, nil
}

func (c *adminClient) send(ctx context.Context, method, path string, body []byte) (status int, text []byte, err error) {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.Admin, "/")+"/apisix/admin/"+strings.Join(parts, "/"), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-API-KEY", c.AdminKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("asking the Admin API (another is given by --admin): %w", err)
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return resp.StatusCode, text, err
}

// refusal is an answer that says why a resource is not taken.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) err() error    { return fmt.Errorf("%s (status %d)", r.text, r.status) }

func refusalOf(status int, text []byte) *refusal {
	var body struct {
		Msg         string `json:"error_msg"`
		Description string `json:"description"`
	}
	if json.Unmarshal(text, &body) != nil || body.Msg == "" {
		body.Msg = http.StatusText(status)
	}
	return &refusal{status, join(body.Msg, body.Description)}
}
