package invoke

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"millrace/blob"
	"millrace/whisk"
	"millrace/whisk/runtime"
)

// launch gives a worker its instance, if it has none yet.
func (v *Invoker) launch(w *worker) error {
	if w.inst != nil {
		return nil
	}
	kind := w.group.key.kind
	inst, err := v.shelves[kind].launcher.Launch(v.base, kind)
	if err != nil {
		return err
	}
	if !v.pool.launched(w, inst) {
		_ = inst.Close()
		return context.Canceled
	}
	return nil
}

func (v *Invoker) unprovided(r *request, err error) outcome {
	if v.base.Err() != nil {
		return failed(whisk.WhiskError, msgStopped)
	}
	v.cfg.Log.Error("starting an instance", "kind", r.Action.Exec.Kind, "activation", r.ID, "error", err)
	return failed(whisk.WhiskError, msgProvision)
}

// run initialises the worker's instance if need be, runs the call and releases
// the worker. initTime is negative if there was no init.
func (v *Invoker) run(r *request, w *worker) (o outcome, initTime time.Duration) {
	initTime = -1
	var initLogs []string
	for {
		if !w.warm {
			o, initTime = v.init(r, w)
			if o.status != whisk.Success {
				v.pool.release(w, false, -1, time.Now())
				return o, initTime
			}
			initLogs = o.logs
		}
		began := time.Now()
		reply, err := w.inst.Run(context.Background(), v.arguments(r, began))
		ended := time.Now()
		if errors.Is(err, runtime.ErrUnreached) && initTime < 0 {
			// It died while idle, unnoticed. The caller must not suffer from it.
			if w, err = v.replace(w); err == nil {
				continue
			}
			return v.unprovided(r, err), initTime
		}
		o = v.stopped(runOutcome(reply, err, r.Action.Limits.TimeoutMS, v.cfg.MaxResultBytes), err)
		v.pool.release(w, o.keepsInstance(), ended.Sub(began), ended)
		v.noteFailure(r, err, "running")
		if len(initLogs) > 0 {
			o.logs = append(initLogs, o.logs...)
		}
		return o, initTime
	}
}

// replace launches an instance in place of a dead worker's.
func (v *Invoker) replace(dead *worker) (*worker, error) {
	w := v.pool.renew(dead, time.Now())
	if w == nil {
		v.pool.release(dead, false, -1, time.Now())
		return nil, context.Canceled
	}
	if err := v.launch(w); err != nil {
		v.pool.release(w, false, -1, time.Now())
		return nil, err
	}
	return w, nil
}

// stopped tells calls that died because the platform stops from those that died
// by themselves.
func (v *Invoker) stopped(o outcome, err error) outcome {
	if err == nil || v.base.Err() == nil || !errors.Is(err, runtime.ErrExited) {
		return o
	}
	end := failed(whisk.WhiskError, msgStopped)
	end.logs = o.logs
	return end
}

// noteFailure logs what is the platform's fault; the client sees only a text.
func (v *Invoker) noteFailure(r *request, err error, doing string) {
	if err == nil || v.base.Err() != nil || errors.Is(err, runtime.ErrExited) ||
		errors.Is(err, runtime.ErrTimeout) || errors.Is(err, runtime.ErrOutOfMemory) {
		return
	}
	v.cfg.Log.Error(doing+" an action", "action", r.Action.Path(), "activation", r.ID, "error", err)
}

// init gives the worker's instance the action. A status other than Success is
// the outcome of the whole call.
func (v *Invoker) init(r *request, w *worker) (o outcome, took time.Duration) {
	code, err := v.code(r.Action)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return failed(whisk.ApplicationError, msgRemoved), -1
	case err != nil:
		v.noteFailure(r, err, "fetching the code of")
		return failed(whisk.WhiskError, msgFetch), -1
	}
	began := time.Now()
	reply, err := w.inst.Init(context.Background(), v.initialisation(r, code, began))
	took = time.Since(began)
	o, ok := initOutcome(reply, err, r.Action.Limits.TimeoutMS, v.cfg.MaxResultBytes)
	if !ok {
		v.noteFailure(r, err, "initialising")
		return v.stopped(o, err), took
	}
	v.pool.warmed(w, took, began.Add(took))
	return o, took
}

// code fetches an action's code. Base64 is decoded; what is not base64 goes to
// the runtime as it is, which then says what is wrong with it.
func (v *Invoker) code(a *whisk.Action) ([]byte, error) {
	if a.Exec.Digest == "" {
		return nil, nil
	}
	data, err := v.cfg.Blobs.Get(v.base, blob.Digest(a.Exec.Digest))
	if err != nil || !a.Exec.Binary {
		return data, err
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(data)))
	if n, err := base64.StdEncoding.Decode(raw, data); err == nil {
		return raw[:n], nil
	}
	return data, nil
}

func (v *Invoker) initialisation(r *request, code []byte, now time.Time) *runtime.Init {
	a := r.Action
	deadline := now.Add(timeout(a))
	env := make(map[string]string, 12)
	for _, e := range r.group.paramsOf(&r.Call).env {
		env[e.name] = e.text
	}
	env["__OW_NAMESPACE"] = r.Caller.Namespace
	env["__OW_ACTION_NAME"] = r.group.facts.name
	env["__OW_ACTION_VERSION"] = a.Version
	env["__OW_ACTIVATION_ID"] = r.ID
	env["__OW_TRANSACTION_ID"] = r.TransactionID
	env["__OW_DEADLINE"] = strconv.FormatInt(deadline.UnixMilli(), 10)
	env["__OW_ALLOW_CONCURRENT"] = strconv.FormatBool(a.Limits.Concurrency > 1)
	delete(env, "__OW_API_KEY") // only ever the caller's
	if key := apiKey(&r.Call); key != "" {
		env["__OW_API_KEY"] = key
	}
	if v.cfg.APIHost != "" {
		env["__OW_API_HOST"] = v.cfg.APIHost
	}
	return &runtime.Init{
		Action: r.group.facts.name, Version: a.Version, Namespace: r.Caller.Namespace, Main: a.Exec.Main,
		Code: code, CodeID: a.Exec.Digest, Binary: a.Exec.Binary, Env: env,
		MemoryMB: a.Limits.MemoryMB, Concurrency: max(1, a.Limits.Concurrency),
		LogLimit: a.Limits.LogsMB << 20, Lines: &r.tail, Deadline: deadline,
	}
}

func (v *Invoker) arguments(r *request, now time.Time) *runtime.Run {
	return &runtime.Run{
		ActivationID: r.ID, TransactionID: r.TransactionID, Namespace: r.Caller.Namespace,
		Action: r.group.facts.name, Version: r.Action.Version, APIKey: apiKey(&r.Call),
		Deadline: now.Add(timeout(r.Action)), Lines: &r.tail, Args: r.group.paramsOf(&r.Call).under(r.Payload),
	}
}

func timeout(a *whisk.Action) time.Duration {
	return time.Duration(a.Limits.TimeoutMS) * time.Millisecond
}

// apiKey is uuid:secret if the action gets the caller's key: its annotation
// provide-api-key is true, or absent.
func apiKey(c *Call) string {
	given := c.Action.Annotations.Find("provide-api-key")
	if given != nil && !whisk.Truthy(given) || c.Caller.UUID == "" {
		return ""
	}
	return strings.Join([]string{c.Caller.UUID, c.Caller.Secret}, ":")
}
