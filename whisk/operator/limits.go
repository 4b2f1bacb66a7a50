package operator

import (
	"encoding/json"
	"net/http"

	"millrace/whisk"
	"millrace/whisk/tenant"
)

// limitsDocument shows the overrides of a namespace and all that is in force.
type limitsDocument struct {
	Limits  *whisk.Overrides `json:"limits"`
	InForce inForceDocument  `json:"inForce"`
}

// inForceDocument has the names of whisk.Overrides.
type inForceDocument struct {
	InvocationsPerMinute  int   `json:"invocationsPerMinute"`
	ConcurrentInvocations int   `json:"concurrentInvocations"`
	FiresPerMinute        int   `json:"firesPerMinute"`
	MinActionMemory       int   `json:"minActionMemory"`
	MaxActionMemory       int   `json:"maxActionMemory"`
	MinActionLogs         int   `json:"minActionLogs"`
	MaxActionLogs         int   `json:"maxActionLogs"`
	MinActionTimeout      int   `json:"minActionTimeout"`
	MaxActionTimeout      int   `json:"maxActionTimeout"`
	MinActionConcurrency  int   `json:"minActionConcurrency"`
	MaxActionConcurrency  int   `json:"maxActionConcurrency"`
	MaxActionInstances    int   `json:"maxActionInstances"`
	MaxParameterSize      int64 `json:"maxParameterSize"`
	MaxPayloadSize        int64 `json:"maxPayloadSize"`
	// AllowedKinds is null if all are.
	AllowedKinds     []string `json:"allowedKinds"`
	StoreActivations bool     `json:"storeActivations"`
}

func limitsOf(ns *tenant.Namespace) limitsDocument {
	l := ns.InForce
	return limitsDocument{Limits: ns.Own, InForce: inForceDocument{
		InvocationsPerMinute:  l.Namespace.InvocationsPerMinute,
		ConcurrentInvocations: l.Namespace.ConcurrentInvocations,
		FiresPerMinute:        l.Namespace.FiresPerMinute,
		MinActionMemory:       l.MemoryMB.Min,
		MaxActionMemory:       l.MemoryMB.Max,
		MinActionLogs:         l.LogsMB.Min,
		MaxActionLogs:         l.LogsMB.Max,
		MinActionTimeout:      l.TimeoutMS.Min,
		MaxActionTimeout:      l.TimeoutMS.Max,
		MinActionConcurrency:  l.Concurrency.Min,
		MaxActionConcurrency:  l.Concurrency.Max,
		MaxActionInstances:    l.Namespace.MaxInstances(),
		MaxParameterSize:      l.Parameters,
		MaxPayloadSize:        l.Payload,
		AllowedKinds:          ns.Own.AllowedKinds,
		StoreActivations:      ns.Own.StoreActivations == nil || *ns.Own.StoreActivations,
	}}
}

func (a *API) foundLimits(name string) (int, any, error) {
	ns, err := a.namespaces.Find(name)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, limitsOf(&ns), nil
}

func (a *API) showLimits(r *http.Request) (int, any, error) {
	return a.foundLimits(r.PathValue("name"))
}

func (a *API) replaceLimits(r *http.Request) (int, any, error) {
	text, err := body(r)
	if err != nil {
		return 0, nil, err
	}
	return a.setLimits(r, replacement(text))
}

func (a *API) patchLimits(r *http.Request) (int, any, error) {
	text, err := body(r)
	if err != nil {
		return 0, nil, err
	}
	return a.setLimits(r, patch(text))
}

func (a *API) unsetLimits(r *http.Request) (int, any, error) {
	return a.setLimits(r, replacement([]byte("{}")))
}

func (a *API) setLimits(r *http.Request, limits tenant.LimitsChange) (int, any, error) {
	name := r.PathValue("name")
	if err := a.namespaces.Change(r.Context(), name, tenant.Change{Limits: limits}); err != nil {
		return 0, nil, err
	}
	a.log.Info("limits changed", "namespace", name)
	return a.foundLimits(name)
}

// patch changes the members that a JSON object has; nil changes nothing.
func patch(text json.RawMessage) tenant.LimitsChange {
	if text == nil {
		return nil
	}
	return func(now *whisk.Overrides) (*whisk.Overrides, error) { return now.Patched(text) }
}

// replacement leaves nothing of what was there.
func replacement(text []byte) tenant.LimitsChange {
	return func(*whisk.Overrides) (*whisk.Overrides, error) { return new(whisk.Overrides).Patched(text) }
}
