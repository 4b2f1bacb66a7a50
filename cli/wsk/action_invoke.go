package wsk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

type invokeFlags struct {
	blocking, result bool
	parameters       keyValues
}

func (a *app) actionInvokeCommand() *cobra.Command {
	var f invokeFlags
	cmd := &cobra.Command{
		Use:   "invoke ACTION_NAME",
		Short: "invoke action",
		Args:  between(1, 1, "An action name is required."),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.blocking = f.blocking || f.result
			return a.invoke(cmd, args[0], f)
		},
	}
	cmd.Flags().BoolVarP(&f.blocking, "blocking", "b", false, "blocking invoke")
	cmd.Flags().BoolVarP(&f.result, "result", "r", false, "blocking invoke; show only activation result (unless there is a failure)")
	cmd.Flags().VarP(pairFlag{&f.parameters}, "param", "p", "parameter values in KEY VALUE format")
	cmd.Flags().VarP(fileFlag{&f.parameters}, "param-file", "P", "FILE containing parameter values in JSON format")
	return cmd
}

func (a *app) invoke(cmd *cobra.Command, text string, f invokeFlags) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	fail := func(err error) error { return because(err, "Unable to invoke action '%s'", text) }
	n, err := c.parseName(text)
	if err != nil {
		return fail(err)
	}
	query := url.Values{"blocking": {fmt.Sprint(f.blocking)}, "result": {fmt.Sprint(f.result)}}
	path := c.path(n.namespace, append([]string{"actions"}, n.parts()...)...)
	got, err := c.do(cmd.Context(), http.MethodPost, path, query, f.parameters.object())
	if err != nil {
		return fail(err)
	}
	id := activationID(got)
	switch {
	case got.status == http.StatusAccepted && f.blocking:
		a.ok("invoked %s, but the request has not yet finished, with id %s", n.full(), id)
		return &Error{Msg: "the action has not finished", Code: exitTimedOut, Shown: true}
	case got.status >= 200 && got.status < 300:
		if !f.result {
			a.ok("invoked %s with id %s", n.full(), id)
		}
		if f.blocking {
			a.json(sorted(got.body))
		}
		return nil
	case f.blocking && failedByItself(got):
		if !f.result {
			a.okTo(a.Err, "invoked %s with id %s", n.full(), id)
		}
		a.jsonTo(a.Err, sorted(got.body))
		return &Error{Msg: "the action failed", Code: (got.status - 256) & 0xff, Shown: true}
	}
	return fail(statusError(got.status, got.body))
}

// failedByItself tells an action's own failure, whose body is its record or
// result, from a failure of the API, whose body has error and code.
func failedByItself(got *answer) bool {
	if got.status != http.StatusBadGateway && got.status != http.StatusInternalServerError {
		return false
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(got.body, &body) != nil {
		return false
	}
	_, isError := body["code"]
	return !isError
}

// activationID finds the id in the body, or in the header where the body is the
// action's own.
func activationID(got *answer) string {
	if id := got.header.Get("X-Openwhisk-Activation-Id"); id != "" {
		return id
	}
	var body struct {
		ID string `json:"activationId"`
	}
	_ = json.Unmarshal(got.body, &body) // an action's result may be of any shape
	return body.ID
}
