package api

import (
	"context"
	"net/http"

	"millrace/whisk"
)

// Queue knows accepted calls that wait, and those that were given up.
type Queue interface {
	// Queued answers the record of an accepted call that has not come into memory
	// yet; any error means that there is none.
	Queued(ctx context.Context, namespace, id string) (*whisk.Activation, error)
	// Letters answers the dead letters of a namespace as JSON objects, newest
	// first: at most limit after the first skip, and how many there are in all.
	Letters(ctx context.Context, namespace string, skip, limit int) (page [][]byte, total int, err error)
	// Letter answers a dead letter as a JSON object, with its payload. Errors of
	// this and what follows are *whisk.Error, or failures of our own.
	Letter(ctx context.Context, namespace, id string) ([]byte, error)
	DeleteLetter(ctx context.Context, namespace, id string) error
	// Redrive accepts the call of a dead letter again in its place, and answers
	// the new activation id.
	Redrive(ctx context.Context, caller *whisk.Identity, id, transactionID string) (string, error)
}

// letters answers the queue if the caller may use what the path names.
func (a *API) letters(x *exchange) (Queue, error) {
	if x.name == "" {
		return a.Queue, own(x.caller, x.namespace, x.namespace)
	}
	if err := checkRecord(x); err != nil {
		return nil, err
	}
	if a.Queue == nil {
		return nil, whisk.NotFound()
	}
	return a.Queue, nil
}

func (a *API) listLetters(x *exchange, r *http.Request) (answer, error) {
	q, err := a.letters(x)
	if err != nil {
		return answer{}, err
	}
	p, err := queryPage(r.URL.Query(), "deadletters")
	if err != nil {
		return answer{}, err
	}
	var page [][]byte
	total := 0
	if q != nil {
		if page, total, err = q.Letters(r.Context(), x.namespace, p.skip, p.limit); err != nil {
			return answer{}, err
		}
	}
	if p.count {
		return answer{body: countDocument("deadletters", total, p.skip)}, nil
	}
	return answer{body: appendList(nil, page, func(b, letter []byte) []byte { return append(b, letter...) })}, nil
}

func (a *API) showLetter(x *exchange, r *http.Request) (answer, error) {
	q, err := a.letters(x)
	if err != nil {
		return answer{}, err
	}
	body, err := q.Letter(r.Context(), x.namespace, x.name)
	return answer{body: body}, err
}

// redriveLetter counts against the rate of the namespace as the first call did.
func (a *API) redriveLetter(x *exchange, r *http.Request) (answer, error) {
	q, err := a.letters(x)
	if err != nil {
		return answer{}, err
	}
	if err := a.Invoker.Admit(x.caller); err != nil {
		return answer{}, err
	}
	id, err := q.Redrive(r.Context(), x.caller, x.name, x.tid)
	if err != nil {
		return answer{}, err
	}
	body := append(appendText(nil, `{"activationId":`, id), '}')
	return answer{status: http.StatusAccepted, body: body, activationID: id}, nil
}

// deleteLetter answers the letter that is deleted.
func (a *API) deleteLetter(x *exchange, r *http.Request) (answer, error) {
	q, err := a.letters(x)
	if err != nil {
		return answer{}, err
	}
	body, err := q.Letter(r.Context(), x.namespace, x.name)
	if err == nil {
		err = q.DeleteLetter(r.Context(), x.namespace, x.name)
	}
	return answer{body: body}, err
}
