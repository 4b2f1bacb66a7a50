package api

import (
	"errors"
	"net/http"
	"net/url"

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

func appendActivationWithLogs(b []byte, rec *whisk.Activation) []byte {
	return appendActivation(b, rec, rec.Logs)
}

// record finds the activation that the path names.
func (a *API) record(x *exchange, r *http.Request) (*whisk.Activation, error) {
	if err := own(x.caller, x.namespace, x.namespace+"/"+x.name); err != nil {
		return nil, err
	}
	if err := whisk.CheckActivationID(x.name); err != nil {
		return nil, err
	}
	rec, err := a.Activations.Get(r.Context(), x.namespace, x.name)
	if errors.Is(err, activation.ErrNotFound) {
		return nil, notFound()
	}
	return rec, err
}

func (a *API) showActivation(x *exchange, r *http.Request) (answer, error) {
	rec, err := a.record(x, r)
	if err != nil {
		return answer{}, err
	}
	return answer{body: appendActivationWithLogs(nil, rec)}, nil
}

func (a *API) showLogs(x *exchange, r *http.Request) (answer, error) {
	rec, err := a.record(x, r)
	if err != nil {
		return answer{}, err
	}
	b := appendList([]byte(`{"logs":`), rec.Logs, whisk.AppendString)
	return answer{body: append(b, '}')}, nil
}

func (a *API) showResult(x *exchange, r *http.Request) (answer, error) {
	rec, err := a.record(x, r)
	if err != nil {
		return answer{}, err
	}
	return answer{body: appendResponse(nil, &rec.Response)}, nil
}
