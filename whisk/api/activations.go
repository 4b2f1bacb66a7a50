package api

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
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
	if q.Has("upto") {
		out.Upto = max(out.Upto, 1) // 0 is no bound for the log, but one for the client; nothing began at either
	}
	// OpenWhisk's lists have no calls that run, and its clients take all that they
	// find there for ended.
	running, err := queryBool(q, "running", false)
	if err != nil {
		return out, err
	}
	out.Ended = !running
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
	q.Brief = true
	records, err := a.list(r.Context(), x.namespace, q.Query)
	if err != nil {
		return answer{}, err
	}
	if !q.docs {
		return answer{body: appendList(nil, records, appendActivationSummary)}, nil
	}
	return a.wholeRecords(r.Context(), x, records)
}

// list lists records, in its turn.
func (a *API) list(ctx context.Context, namespace string, q activation.Query) ([]*whisk.Activation, error) {
	leave, err := a.loads.enter(ctx, namespace)
	if err != nil {
		return nil, err
	}
	defer leave()
	return a.Activations.List(ctx, namespace, q)
}

// wholeBytes is how large a list of whole records becomes in memory before it is
// sent; what comes after that is sent record by record.
const wholeBytes = 1 << 20

// recordBytes is what sending record by record may take, roughly: the largest
// records have some 10 MB of logs.
const recordBytes = 32 << 20

// wholeRecords answers the list of some records with logs and results.
func (a *API) wholeRecords(ctx context.Context, x *exchange, listed []*whisk.Activation) (answer, error) {
	b := []byte{'['}
	for i, rec := range listed {
		if len(b) > wholeBytes {
			return answer{body: b, more: a.recordAfterRecord(ctx, listed[i:])}, x.measure(a.Meter, recordBytes)
		}
		var err error
		if b, err = a.appendRecord(ctx, b, rec); err != nil {
			return answer{}, err
		}
	}
	return answer{body: append(b, ']')}, nil
}

// recordAfterRecord answers the rest of a list of whole records, in pieces.
func (a *API) recordAfterRecord(ctx context.Context, listed []*whisk.Activation) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, rec := range listed {
			b, err := a.appendRecord(ctx, nil, rec)
			if !yield(b, err) || err != nil {
				return
			}
		}
		yield([]byte{']'}, nil)
	}
}

// appendRecord appends the whole of a record that was listed, unless it has expired
// since, as one more item of a list.
func (a *API) appendRecord(ctx context.Context, b []byte, listed *whisk.Activation) ([]byte, error) {
	leave, err := a.loads.enter(ctx, listed.Namespace)
	if err != nil {
		return nil, err
	}
	defer leave()
	rec, err := a.Activations.Get(ctx, listed.Namespace, listed.ID)
	if errors.Is(err, activation.ErrNotFound) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) != 1 { // the bracket that opens the list
		b = append(b, ',')
	}
	return appendActivationWithLogs(b, rec), nil
}

func appendActivationSummary(b []byte, rec *whisk.Activation) []byte { return rec.AppendSummary(b) }

func appendActivationWithLogs(b []byte, rec *whisk.Activation) []byte {
	b = slices.Grow(b, int(bytesOf(rec))+1024)
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
	if err == nil {
		err = x.measure(a.Meter, bytesOf(rec))
	}
	return rec, err
}

// bytesOf is what a finished record has of results and logs.
func bytesOf(rec *whisk.Activation) int64 {
	n := len(rec.Response.Result)
	for _, line := range rec.Logs {
		n += len(line)
	}
	return int64(n)
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
	rec, err := a.load(ctx, namespace, id)
	if a.Queue == nil || !errors.Is(err, activation.ErrNotFound) {
		return rec, err
	}
	if queued, err := a.Queue.Queued(ctx, namespace, id); err == nil {
		return queued, nil
	}
	return a.Activations.Get(ctx, namespace, id) // it may have begun in between
}

// load reads a record, in its turn.
func (a *API) load(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	leave, err := a.loads.enter(ctx, namespace)
	if err != nil {
		return nil, err
	}
	defer leave()
	return a.Activations.Get(ctx, namespace, id)
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
