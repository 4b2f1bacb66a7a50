package feed

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/builtin"
)

// Refusal is an error whose text is for clients.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Functions are those behind the feeds' actions, by name.
func (f *Feeds) Functions() map[string]builtin.Func {
	funcs := map[string]builtin.Func{}
	for _, p := range packages() {
		for _, a := range p.Actions {
			if a.Function == functionName(p.Name, a.Name) {
				funcs[a.Function] = func(ctx context.Context, in *runtime.Run) (json.RawMessage, error) {
					return f.answer(ctx, p.Name, a.Name, in)
				}
			}
		}
	}
	return funcs
}

// answer carries out a lifecycle call. Its errors are for clients.
func (f *Feeds) answer(ctx context.Context, pkg, feed string, in *runtime.Run) (json.RawMessage, error) {
	result, err := f.lifecycle(ctx, pkg, feed, Params{gjson.ParseBytes(in.Args)})
	if err == nil {
		return json.Marshal(result)
	}
	var refusal Refusal
	switch {
	case errors.As(err, &refusal):
		return nil, refusal
	case errors.Is(err, errStale):
		return nil, Refusal(whisk.MsgConcurrentChange)
	}
	f.cfg.Log.Error("carrying out a feed's lifecycle call", "feed", pkg+"/"+feed, "activation", in.ActivationID, "error", err)
	return nil, Refusal(whisk.MsgInternal)
}

// lifecycle answers one event of a subscription's life.
func (f *Feeds) lifecycle(ctx context.Context, pkg, feed string, p Params) (map[string]any, error) {
	event := p.Get("lifecycleEvent").String()
	id, trigger, err := f.identify(pkg, p, event == "DELETE")
	if err != nil {
		return nil, err
	}
	defer f.lock(id)()
	switch event {
	case "CREATE":
		return f.create(ctx, &Subscription{ID: id, Feed: feed, TriggerID: trigger.ID}, p)
	case "DELETE":
		return success(), f.remove(ctx, id)
	case "READ", "UPDATE", "PAUSE", "UNPAUSE":
	default:
		return nil, Refusal(msgUnsupportedEvent)
	}
	old := f.find(id)
	if old == nil || old.TriggerID != trigger.ID { // perhaps of another owner of the namespace's name
		return nil, Refusal(msgUnknownSubscription("/" + id.Namespace + "/" + id.Trigger))
	}
	switch event {
	case "READ":
		return f.describe(old)
	case "UPDATE":
		return f.update(ctx, old, feed, p)
	default:
		return f.pause(ctx, old, event == "PAUSE")
	}
}

// identify finds the trigger that a call is about and checks that the key given
// with it is one of the trigger's namespace. The trigger of a DELETE may be gone.
func (f *Feeds) identify(pkg string, p Params, gone bool) (ID, *whisk.Trigger, error) {
	given := p.Get("triggerName").String()
	if given == "" {
		return ID{}, nil, Refusal(msgNoTriggerName)
	}
	caller, err := f.cfg.Keys.Authenticate(p.Get("authKey").String())
	if err != nil {
		return ID{}, nil, Refusal(msgTriggerAuthentication)
	}
	name, err := triggerName(given, caller.Namespace)
	if err != nil || name.Namespace != caller.Namespace {
		return ID{}, nil, Refusal(msgTriggerAuthentication)
	}
	t, ok := f.cfg.Triggers.Trigger(name.Namespace, name.Name)
	if !ok && !gone {
		return ID{}, nil, Refusal(msgTriggerAuthentication)
	}
	return ID{Namespace: name.Namespace, Trigger: name.Name, Package: pkg}, t, nil
}

// triggerName reads /ns/t, /_/t or t.
func triggerName(given, caller string) (whisk.FullName, error) {
	if !strings.Contains(given, "/") {
		given = "/_/" + given
	}
	n, err := whisk.ParseFullName(given, caller)
	if err == nil && n.Package != "" {
		err = errors.New("a trigger is in no package")
	}
	return n, err
}

func success() map[string]any { return map[string]any{"status": "success"} }

// create writes s in place of what there is.
func (f *Feeds) create(ctx context.Context, s *Subscription, p Params) (map[string]any, error) {
	for try := 0; ; try++ {
		s.Revision = 0
		if old := f.find(s.ID); old != nil {
			s.Revision = old.Revision
		}
		answer, err := f.configure(ctx, s, p)
		if try > 0 || !errors.Is(err, errStale) {
			return answer, err
		}
	}
}

// configure writes s, which is new or has settings, as the parameters say.
func (f *Feeds) configure(ctx context.Context, s *Subscription, p Params) (map[string]any, error) {
	src := f.sources[s.Package]
	settings, err := src.Configure(s, p)
	if err != nil {
		return nil, err
	}
	next := s.switched(!s.Paused, s.Reason)
	if !s.Paused {
		next.Reason = ""
	}
	next.Settings, next.State = settings, nil
	written, err := f.put(ctx, next)
	if err != nil {
		return nil, err
	}
	answer := success()
	if a, ok := src.(Answerer); ok {
		a.Answer(written, answer)
	}
	return answer, nil
}

// put writes s and tells its source.
func (f *Feeds) put(ctx context.Context, s *Subscription) (*Subscription, error) {
	written, err := f.write(ctx, s)
	if err != nil {
		return nil, err
	}
	return written, f.sources[s.Package].Apply(written)
}

func (f *Feeds) update(ctx context.Context, old *Subscription, feed string, p Params) (map[string]any, error) {
	if old.Feed != feed {
		return nil, Refusal(msgOtherFeed("/"+old.Namespace+"/"+old.Trigger, old.Package+"/"+old.Feed))
	}
	return f.configure(ctx, old, p)
}

func (f *Feeds) pause(ctx context.Context, old *Subscription, pause bool) (map[string]any, error) {
	if old.Paused == pause && old.Active != pause {
		return success(), nil
	}
	reason := ""
	if pause {
		reason = msgPaused
	}
	next := old.switched(!pause, reason)
	next.Paused = pause
	_, err := f.put(ctx, next)
	return success(), err
}

// describe answers READ.
func (f *Feeds) describe(s *Subscription) (map[string]any, error) {
	config := map[string]any{"name": s.Trigger, "namespace": s.Namespace}
	if err := f.sources[s.Package].Describe(s, config); err != nil {
		return nil, err
	}
	status := map[string]any{"active": s.Active, "dateChanged": s.Changed, "dateChangedISO": isoTime(s.Changed)}
	if s.Reason != "" {
		status["reason"] = s.Reason
	}
	return map[string]any{"config": config, "status": status}, nil
}

// isoTime renders ms since 1970 as JavaScript does.
func isoTime(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
