package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"millrace/internal/jsonvalue"
	"millrace/resource"
	"millrace/store"
)

// maxDocument is how many bytes a whole configuration may have.
const maxDocument = 64 << 20

// documentKey is the store key of the document that was put last, with its
// versions and digest, as GET answers it.
const documentKey = resource.Prefix + "standalone"

// standalone is the Admin API of a gateway whose configuration is put as a whole:
// a document of lists of resources. The resources are kept in the store one by
// one, so that only those that changed are compiled again.
type standalone struct {
	*api
	mu sync.Mutex // held by the PUT that is being applied
}

// NewStandalone makes the Admin API of a gateway that takes its configuration as a
// whole (config_provider yaml): /apisix/admin/configs and nothing else. Keyring,
// APIVersion and Stream of cfg have no meaning for it. An error names the setting
// that is wrong.
func NewStandalone(cfg Config) (http.Handler, error) {
	acc, err := newAccess(cfg)
	if err != nil {
		return nil, err
	}
	cfg.Keyring = nil
	return &standalone{api: newAPI(cfg, acc)}, nil
}

// ServeHTTP answers one request.
func (s *standalone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.setHeaders(w.Header())
	if err := s.serve(w, r).write(w); err != nil {
		s.Log.Debug("writing answer of the Admin API", "path", r.URL.Path, "error", err)
	}
}

func (s *standalone) serve(w http.ResponseWriter, r *http.Request) answer {
	segments, refused := s.admit(w, r, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost)
	if refused != nil {
		return *refused
	}
	switch path := strings.Join(segments, "/"); {
	case path == "configs" && r.Method == http.MethodPut:
		return s.put(w, r)
	case path == "configs" && r.Method != http.MethodPost:
		return s.get(w, r)
	case path == "configs/validate" && r.Method == http.MethodPost:
		c := &call{ctx: r.Context()}
		if refused := readBody(w, r, c); refused != nil {
			return *refused
		}
		return s.validateConfigs(c)
	}
	return page(http.StatusNotFound)
}

// Members of a document beside its lists; the version of a list is a member too.
const (
	digestMember   = "X-Digest"
	modifiedMember = "X-Last-Modified"
	versionSuffix  = "_conf_version"
)

// current answers the document that was put last; without one all versions are 0.
func (s *standalone) current(ctx context.Context) (doc map[string]any, err error) {
	e, err := s.Store.Get(ctx, documentKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if doc = object(e.Value); doc != nil {
		return doc, nil
	}
	doc = map[string]any{}
	for _, folder := range documentFolders() {
		doc[folder+versionSuffix] = json.Number("0")
	}
	return doc, nil
}

func (s *standalone) get(w http.ResponseWriter, r *http.Request) answer {
	doc, err := s.current(r.Context())
	if err != nil {
		return s.failed(err)
	}
	for _, name := range []string{digestMember, modifiedMember} {
		if value := resource.TextOf(doc[name]); value != "" {
			w.Header()[name] = []string{value}
		}
	}
	contentType, body := "application/json", []byte(nil)
	if strings.HasPrefix(r.Header.Get("Accept"), "application/yaml") {
		contentType = "application/yaml"
		body, err = yaml.Marshal(plainNumbers(doc))
	} else {
		body, err = jsonvalue.Encode(doc)
	}
	if err != nil {
		return s.failed(fmt.Errorf("encoding the configuration: %w", err))
	}
	return answer{status: http.StatusOK, body: rawBody{contentType, body}}
}

// plainNumbers turns the numbers of a decoded document into Go's, which YAML does
// not quote.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = plainNumbers(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plainNumbers(item)
		}
		return out
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
	}
	return v
}

func (s *standalone) put(w http.ResponseWriter, r *http.Request) answer {
	digest := r.Header.Get(digestMember)
	if digest == "" {
		return *fail(http.StatusBadRequest, msgMissingDigest)
	}
	sent, refused := readDocument(w, r)
	if refused != nil {
		return *refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, err := s.current(r.Context())
	if err != nil {
		return s.failed(err)
	}
	if doc[digestMember] == digest {
		return answer{status: http.StatusNoContent}
	}
	changed, refused := s.merge(doc, sent)
	if refused != nil {
		return *refused
	}
	modified := s.now().Unix()
	doc[digestMember], doc[modifiedMember] = digest, json.Number(strconv.FormatInt(modified, 10))
	// A PUT that was begun is finished, whatever becomes of its client.
	revision, err := s.replace(context.WithoutCancel(r.Context()), changed, doc)
	if err != nil {
		return s.failed(err)
	}
	s.applied(r.Context(), revision)
	w.Header()[modifiedMember], w.Header()[digestMember] = []string{strconv.FormatInt(modified, 10)}, []string{digest}
	return answer{status: http.StatusAccepted}
}

// readDocument reads the body of a PUT, as YAML or JSON.
func readDocument(w http.ResponseWriter, r *http.Request) (map[string]any, *answer) {
	raw, refused := readLimited(w, r, maxDocument)
	if refused != nil {
		return nil, refused
	}
	if len(raw) == 0 {
		return nil, fail(http.StatusBadRequest, msgInvalidBody+msgEmptyBody)
	}
	var v any
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/yaml") {
		if v, refused = decodeYAML(raw); refused != nil {
			return nil, refused
		}
	} else if v, refused = decodeBody(raw); refused != nil {
		return nil, refused
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fail(http.StatusBadRequest, msgInvalidConf)
	}
	return doc, nil
}

// decodeYAML reads YAML into the form of decoded JSON.
func decodeYAML(raw []byte) (any, *answer) {
	var v any
	err := yaml.Unmarshal(raw, &v)
	if err == nil {
		raw, err = jsonvalue.Encode(v)
	}
	if err == nil {
		v, err = jsonvalue.Decode(raw)
	}
	if err != nil {
		return nil, fail(http.StatusBadRequest, msgInvalidBody+msgInvalidYAML)
	}
	return v, nil
}

// merge puts the lists of a sent document into the current one, save for those
// whose version is the same, and answers their items by folder, as the store keeps
// them.
func (s *standalone) merge(doc, sent map[string]any) (map[string]map[string]map[string]any, *answer) {
	changed := map[string]map[string]map[string]any{}
	for _, folder := range documentFolders() {
		version, same, refused := nextVersion(folder+versionSuffix, doc, sent)
		if refused != nil {
			return nil, refused
		}
		if same {
			continue
		}
		items, refused := itemsOf(sent, folder)
		if refused != nil {
			return nil, refused
		}
		good, faults, err := s.checkItems(folder, items)
		if err != nil {
			refused := s.failed(err)
			return nil, &refused
		}
		if len(faults) > 0 {
			return nil, fail(http.StatusBadRequest, faults[0].Error)
		}
		doc[folder+versionSuffix] = version
		if delete(doc, folder); len(items) > 0 {
			doc[folder] = items
		}
		changed[folder] = good
	}
	return changed, nil
}

// nextVersion answers the version that a list is to have, and whether it is the
// one it has.
func nextVersion(name string, doc, sent map[string]any) (version json.Number, same bool, refused *answer) {
	now, _ := doc[name].(json.Number)
	current, _ := now.Float64()
	given, has := sent[name]
	if !has {
		return json.Number(strconv.FormatFloat(current+1, 'f', -1, 64)), false, nil
	}
	version, ok := given.(json.Number)
	next, err := version.Float64()
	switch {
	case !ok || err != nil:
		return "", false, fail(http.StatusBadRequest, notANumber(name))
	case next < current:
		return "", false, fail(http.StatusBadRequest, olderVersion(name, now.String()))
	}
	return version, next == current, nil
}

// writeOrder is the order in which folders are written: what others refer to
// comes first. Deletions go the other way.
func writeOrder(changed map[string]map[string]map[string]any) []string {
	late := []string{"consumers", "services", "stream_routes", "routes"}
	return slices.SortedFunc(maps.Keys(changed), func(a, b string) int {
		return cmp.Or(slices.Index(late, a)-slices.Index(late, b), strings.Compare(a, b))
	})
}

// replace makes the store hold the changed lists and the document, and answers the
// revision at which it does. Items that are as they were are not written.
func (s *standalone) replace(ctx context.Context, changed map[string]map[string]map[string]any, doc map[string]any) (revision int64, err error) {
	delete(changed, "plugins")
	var obsolete []string
	for _, folder := range writeOrder(changed) {
		gone, err := s.writeFolder(ctx, folder, changed[folder])
		if err != nil {
			return 0, fmt.Errorf("writing %s: %w", folder, err)
		}
		obsolete = append(obsolete, gone...)
	}
	for _, key := range slices.Backward(obsolete) {
		if _, err := s.Store.Delete(ctx, key, store.Any); err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, fmt.Errorf("deleting %s: %w", key, err)
		}
	}
	value, err := jsonvalue.Encode(doc)
	if err != nil {
		return 0, err
	}
	e, err := s.Store.Put(ctx, documentKey, value, store.PutOptions{})
	return e.ModRevision, err
}

// writeFolder writes items and answers the keys that are to be deleted.
func (s *standalone) writeFolder(ctx context.Context, folder string, items map[string]map[string]any) (obsolete []string, err error) {
	entries, _, err := s.Store.List(ctx, resource.Prefix+folder+"/")
	if err != nil {
		return nil, err
	}
	stored := make(map[string][]byte, len(entries))
	for _, e := range entries {
		stored[e.Key] = e.Value
		if items[e.Key] == nil {
			obsolete = append(obsolete, e.Key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(items)) {
		value, err := jsonvalue.Encode(items[key])
		if err != nil {
			return nil, err
		}
		if bytes.Equal(stored[key], value) {
			continue
		}
		if _, err := s.Store.Put(ctx, key, value, store.PutOptions{}); err != nil {
			return nil, err
		}
	}
	return obsolete, nil
}

func (s *standalone) failed(err error) answer {
	s.Log.Error("serving the Admin API", "error", err)
	return *storeFailed(err)
}
