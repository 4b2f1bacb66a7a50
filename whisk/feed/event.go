package feed

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"millrace/whisk"
)

// errStale: a subscription was written or deleted since it was read. Whoever did
// that has told the source.
var errStale = errors.New("the subscription has changed")

// errNoCaller: the namespace is blocked, or has just been deleted with all it has.
var errNoCaller = &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgNotFound}

// Note stores what a source notes in a subscription, and answers it as it is now.
// errStale if it is no longer the current one.
func (f *Feeds) Note(ctx context.Context, s *Subscription, state json.RawMessage) (*Subscription, error) {
	defer f.lock(s.ID)()
	if f.find(s.ID) != s {
		return nil, errStale
	}
	noted := *s
	noted.State = state
	return f.write(ctx, &noted)
}

// SwitchOff makes a subscription inactive, if it is still the current one; READ
// shows the reason.
func (f *Feeds) SwitchOff(ctx context.Context, s *Subscription, reason string) {
	defer f.lock(s.ID)()
	if f.find(s.ID) != s {
		return
	}
	off, err := f.write(ctx, s.switched(false, reason))
	if err == nil {
		err = f.sources[s.Package].Apply(off)
	}
	if err != nil && !errors.Is(err, errStale) {
		f.cfg.Log.Error("switching a subscription off", "key", s.key(), "reason", reason, "error", err)
	}
}

// Fire fires the trigger of s. If the trigger cannot be fired any more, s is
// switched off. After other errors retry tells whether the same payload may go
// through later.
func (f *Feeds) Fire(ctx context.Context, s *Subscription, payload []byte) (activationID string, retry bool, err error) {
	caller := f.cfg.Keys.Namespace(s.Namespace)
	if caller == nil {
		return "", false, errNoCaller
	}
	if !f.hasTrigger(s) {
		f.SwitchOff(ctx, s, msgTriggerGone)
		return "", false, whisk.NotFound()
	}
	id, err := f.cfg.Firer.FireLocal(ctx, caller, whisk.FullName{Namespace: s.Namespace, Name: s.Trigger}, payload)
	if err == nil {
		return id, false, nil
	}
	switch status := statusOf(err); status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return "", true, err
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge: // it is the payload
		return "", false, err
	default:
		if status >= http.StatusInternalServerError {
			return "", true, err
		}
		f.SwitchOff(ctx, s, msgFireRefused(status))
		return "", false, err
	}
}

// statusOf is the status that a client would get.
func statusOf(err error) int {
	var e *whisk.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return http.StatusInternalServerError
}

// deleteTrigger deletes the trigger of s, with all its rules if asked for, and
// then s.
func (f *Feeds) deleteTrigger(ctx context.Context, s *Subscription, rules bool) error {
	if t, ok := f.cfg.Triggers.Trigger(s.Namespace, s.Trigger); ok && t.ID == s.TriggerID {
		if rules {
			for _, r := range f.cfg.Triggers.Rules(t) {
				if err := f.cfg.Triggers.DeleteRule(ctx, r); err != nil {
					return err
				}
			}
		}
		if err := f.cfg.Triggers.DeleteTrigger(ctx, t); err != nil {
			return err
		}
	}
	return f.removeCurrent(ctx, s)
}
