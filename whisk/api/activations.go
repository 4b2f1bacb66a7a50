package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"millrace/activation"
	"millrace/whisk"
)

// activationQuery is what a list of activations asks for.
type activationQuery struct {
	activation.Query
	count, docs bool
}

func parseActivationQuery(q url.Values) (activationQuery, error) {
	var out activationQuery
	p, err := queryPage(q, "activations")
	if err != nil {
		return out, err
	}
	out.Skip, out.Limit, out.count = p.skip, p.limit, p.count
	if out.docs, err = queryBool(q, "docs", false); err != nil {
		return out, err
	}
	if out.Name, err = queryName(q); err != nil {
		return out, err
	}
	if out.Since, err = queryTime(q, "since"); err != nil {
		return out, err
	}
	if out.Upto, err = queryTime(q, "upto"); err != nil {
		return out, err
	}
	if out.count && out.docs {
		return out, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgDocsWithCount}
	}
	return out, nil
}

func (a *API) listActivations(x *exchange, r *http.Request) (answer, error) {
	if err := own(x.caller, x.namespace, x.namespace); err != nil {
		return answer{}, err
	}
	q, err := parseActivationQuery(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	// What is older than the namespace was that of another tenant, whose namespace
	// of this name was deleted.
	q.Since = max(q.Since, x.caller.Created)
	if q.count {
		n, err := a.Activations.Count(r.Context(), x.namespace, q.Query)
		return answer{body: countDocument("activations", n, 0)}, err // the log has subtracted skip
	}
	records, err := a.Activations.List(r.Context(), x.namespace, q.Query)
	if err != nil {
		return answer{}, err
	}
	if !q.docs {
		return answer{body: appendList(nil, records, appendActivationSummary)}, nil
	}
	return answer{body: appendList(nil, records, appendActivationWithLogs)}, nil
}

func appendActivationSummary(b []byte, rec *whisk.Activation) []byte { return rec.AppendSummary(b) }

func appendActivationWithLogs(b []byte, rec *whisk.Activation) []byte {
	return rec.AppendJSON(b, rec.LogsSoFar())
}

// record finds the activation that the path names. For one that still runs it
// waits a while.
func (a *API) record(x *exchange, r *http.Request) (*whisk.Activation, error) {
	if err := checkRecord(x); err != nil {
		return nil, err
	}
	rec, err := a.awaitEnd(r.Context(), x.namespace, x.name)
	if errors.Is(err, activation.ErrNotFound) || err == nil && rec.Start < x.caller.Created {
		return nil, whisk.NotFound()
	}
	return rec, err
}

// checkRecord checks who asks for an activation, and its id.
func checkRecord(x *exchange) error {
	if err := own(x.caller, x.namespace, x.namespace+"/"+x.name); err != nil {
		return err
	}
	return whisk.CheckActivationID(x.name)
}

// The log is asked again after firstLook, then after twice as long each time,
// lastLook at most.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// find answers a record, or that of an accepted call which only the queue knows.
func (a *API) find(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	rec, err := a.Activations.Get(ctx, namespace, id)
	if a.Queue == nil || !errors.Is(err, activation.ErrNotFound) {
		return rec, err
	}
	if queued, err := a.Queue.Queued(ctx, namespace, id); err == nil {
		return queued, nil
	}
	return a.Activations.Get(ctx, namespace, id) // it may have begun in between
}

// awaitEnd answers a record once its call has ended, or as it is when the time
// is over or ctx ends.
func (a *API) awaitEnd(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	rec, err := a.find(ctx, namespace, id)
	if err != nil || rec.Response.Status != whisk.Running {
		return rec, err
	}
	over := time.NewTimer(a.RecordWait)
	defer over.Stop()
	look := time.NewTimer(firstLook)
	defer look.Stop()
	for every := firstLook; ; look.Reset(every) {
		select {
		case <-look.C:
		case <-over.C:
			return rec, nil
		case <-ctx.Done():
			return rec, nil
		}
		if rec, err = a.find(ctx, namespace, id); err != nil || rec.Response.Status != whisk.Running {
			return rec, err
		}
		every = min(2*every, lastLook)
	}
}

func (a *API) showActivation(x *exchange, r *http.Request) (answer, error) {
	rec, err := a.record(x, r)
	if err != nil {
		return answer{}, err
	}
	return answer{body: appendActivationWithLogs(nil, rec)}, nil
}

func (a *API) showResult(x *exchange, r *http.Request) (answer, error) {
	rec, err := a.record(x, r)
	if err != nil {
		return answer{}, err
	}
	return answer{body: rec.Response.AppendJSON(nil)}, nil
}
