package operator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"millrace/whisk"
	"millrace/whisk/tenant"
)

// namespaceDocument is a namespace as answers show it.
type namespaceDocument struct {
	Name     string           `json:"name"`
	Subject  string           `json:"subject"`
	Created  int64            `json:"created,omitempty"`
	Blocked  bool             `json:"blocked"`
	Deleting bool             `json:"deleting,omitempty"`
	Fixed    bool             `json:"fixed,omitempty"`
	Keys     []keyDocument    `json:"keys"`
	Limits   *whisk.Overrides `json:"limits"`
	// Key is the secret, in the answer to what made it and nowhere else.
	Key     string `json:"key,omitempty"`
	APIHost string `json:"apihost,omitempty"`
}

type keyDocument struct {
	UUID    string `json:"uuid"`
	Created int64  `json:"created,omitempty"`
	Expires int64  `json:"expires,omitempty"`
	Fixed   bool   `json:"fixed,omitempty"`
	Current bool   `json:"current,omitempty"`
}

func documentOf(ns *tenant.Namespace) *namespaceDocument {
	return &namespaceDocument{
		Name: ns.Name, Subject: ns.Subject, Created: ns.Created, Blocked: ns.Blocked, Deleting: ns.Deleting,
		Fixed: ns.Fixed, Keys: keysOf(ns), Limits: ns.Own,
	}
}

func keysOf(ns *tenant.Namespace) []keyDocument {
	keys := make([]keyDocument, len(ns.Keys))
	for i, k := range ns.Keys {
		keys[i] = keyDocument(k)
	}
	return keys
}

// found answers a namespace as it is now.
func (a *API) found(name string) (int, any, error) {
	ns, err := a.namespaces.Find(name)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, documentOf(&ns), nil
}

type listDocument struct {
	Namespaces []*namespaceDocument `json:"namespaces"`
	// Next is what to give as after for the rest; absent at the end.
	Next string `json:"next,omitempty"`
}

func (a *API) list(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	limit := 100
	if text := q.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 1000 {
			return 0, nil, refusal(http.StatusBadRequest, msgLimit)
		}
	}
	page := a.namespaces.List(q.Get("after"), limit+1)
	out := listDocument{Namespaces: []*namespaceDocument{}}
	for i := range page[:min(limit, len(page))] {
		out.Namespaces = append(out.Namespaces, documentOf(&page[i]))
	}
	if len(page) > limit {
		out.Next = page[limit-1].Name
	}
	return http.StatusOK, out, nil
}

func (a *API) show(r *http.Request) (int, any, error) { return a.found(r.PathValue("name")) }

func (a *API) create(r *http.Request) (int, any, error) {
	var in struct {
		Subject string          `json:"subject"`
		Key     string          `json:"key"`
		Limits  json.RawMessage `json:"limits"`
	}
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	spec := tenant.Spec{Subject: in.Subject, Key: in.Key}
	if in.Limits != nil {
		own, err := spec.Limits.Patched(in.Limits)
		if err != nil {
			return 0, nil, refusal(http.StatusBadRequest, msgMalformed(err))
		}
		spec.Limits = *own
	}
	ns, key, err := a.namespaces.Create(r.Context(), r.PathValue("name"), spec)
	if err != nil {
		return 0, nil, err
	}
	out := documentOf(&ns)
	out.Key, out.APIHost = key, a.apiHost
	a.log.Info("namespace created", "namespace", ns.Name)
	return http.StatusCreated, out, nil
}

func (a *API) change(r *http.Request) (int, any, error) {
	var in struct {
		Subject *string         `json:"subject"`
		Blocked *bool           `json:"blocked"`
		Limits  json.RawMessage `json:"limits"`
	}
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	name := r.PathValue("name")
	err := a.namespaces.Change(r.Context(), name, tenant.Change{Subject: in.Subject, Blocked: in.Blocked, Limits: patch(in.Limits)})
	if err != nil {
		return 0, nil, err
	}
	a.log.Info("namespace changed", "namespace", name)
	return a.found(name)
}

func (a *API) remove(r *http.Request) (int, any, error) {
	force := false
	if text := r.URL.Query().Get("force"); text != "" {
		var err error
		if force, err = strconv.ParseBool(text); err != nil {
			return 0, nil, refusal(http.StatusBadRequest, msgBoolean("force"))
		}
	}
	name := r.PathValue("name")
	if err := a.namespaces.Delete(r.Context(), name, force); err != nil {
		return 0, nil, err
	}
	a.log.Info("namespace deleted", "namespace", name)
	return http.StatusNoContent, nil, nil
}

func (a *API) block(blocked bool) handler {
	return func(r *http.Request) (int, any, error) {
		name := r.PathValue("name")
		if err := a.namespaces.Change(r.Context(), name, tenant.Change{Blocked: &blocked}); err != nil {
			return 0, nil, err
		}
		a.log.Info("namespace changed", "namespace", name, "blocked", blocked)
		return a.found(name)
	}
}

func (a *API) listKeys(r *http.Request) (int, any, error) {
	ns, err := a.namespaces.Find(r.PathValue("name"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string][]keyDocument{"keys": keysOf(&ns)}, nil
}

type newKeyDocument struct {
	Key     string `json:"key"`
	APIHost string `json:"apihost,omitempty"`
}

func (a *API) addKey(r *http.Request) (int, any, error) {
	var in struct {
		Key       string `json:"key"`
		ExpiresIn string `json:"expiresIn"`
	}
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	lifetime, err := duration("expiresIn", in.ExpiresIn)
	if err != nil {
		return 0, nil, err
	}
	name := r.PathValue("name")
	key, err := a.namespaces.AddKey(r.Context(), name, in.Key, lifetime)
	if err != nil {
		return 0, nil, err
	}
	a.log.Info("key created", "namespace", name)
	return http.StatusCreated, newKeyDocument{key, a.apiHost}, nil
}

func (a *API) rotateKeys(r *http.Request) (int, any, error) {
	var in struct {
		Grace string `json:"grace"`
	}
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	grace, err := duration("grace", in.Grace)
	if err != nil {
		return 0, nil, err
	}
	name := r.PathValue("name")
	key, err := a.namespaces.RotateKeys(r.Context(), name, grace)
	if err != nil {
		return 0, nil, err
	}
	a.log.Info("keys rotated", "namespace", name, "grace", grace)
	return http.StatusCreated, newKeyDocument{key, a.apiHost}, nil
}

func (a *API) revokeKey(r *http.Request) (int, any, error) {
	name, uuid := r.PathValue("name"), r.PathValue("uuid")
	if err := a.namespaces.RevokeKey(r.Context(), name, uuid); err != nil {
		return 0, nil, err
	}
	a.log.Info("key revoked", "namespace", name, "uuid", uuid)
	return http.StatusNoContent, nil, nil
}

// duration reads a duration of a body; empty is 0.
func duration(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, refusal(http.StatusBadRequest, msgDuration(name))
	}
	return d, nil
}

// decode reads the one JSON document that text must be.
func decode(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the document")
	}
	return nil
}
