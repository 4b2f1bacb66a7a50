package wsk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) actionInvokeCommand() *cobra.Command {
	var blocking, result bool
	var parameters given
	cmd := &cobra.Command{
		Use:   "invoke ACTION_NAME",
		Short: "invoke action",
		Args:  between(1, 1, "An action name is required."),
		RunE: a.named(func(ctx context.Context, c *client, n name, _ []string) error {
			given, err := parameters.keyValues()
			if err != nil {
				return err
			}
			i, err := c.invoke(ctx, n, given, blocking || result, result)
			if err != nil {
				return because(err, "Unable to invoke action '%s'", n.short())
			}
			return a.printInvocation(i)
		}),
	}
	cmd.Flags().BoolVarP(&blocking, "blocking", "b", false, "blocking invoke")
	cmd.Flags().BoolVarP(&result, "result", "r", false, "blocking invoke; show only activation result (unless there is a failure)")
	parameters.addParameters(cmd)
	return cmd
}

// invocation is a call that the API has taken. failed is nil for one that ended
// well or was not waited for, and an error that has not been shown for one that
// failed by itself or still runs.
type invocation struct {
	name             name
	got              *answer
	blocking, result bool
	failed           *Error
}

// invoke calls an action. The error is the API's refusal.
func (c *client) invoke(ctx context.Context, n name, parameters keyValues, blocking, result bool) (*invocation, error) {
	query := url.Values{"blocking": {fmt.Sprint(blocking)}, "result": {fmt.Sprint(result)}}
	got, err := c.do(ctx, http.MethodPost, c.entity("actions", n), query, parameters.object())
	if err != nil {
		return nil, err
	}
	i := &invocation{name: n, got: got, blocking: blocking, result: result}
	switch {
	case got.status == http.StatusAccepted && blocking:
		i.failed = &Error{Msg: "Request accepted, but processing not completed yet.", Code: exitTimedOut}
	case got.status >= 200 && got.status < 300:
	case blocking && failedByItself(got):
		i.failed = &Error{Msg: "The following application error was received: " + string(resultOf(got.body)), Code: (got.status - 256) & 0xff}
	default:
		return nil, statusError(got.status, got.body)
	}
	return i, nil
}

// printInvocation shows a call and its outcome, and answers the failure as one
// that has been shown.
func (a *app) printInvocation(i *invocation) error {
	out := a.Out
	switch {
	case i.failed != nil && i.failed.Code == exitTimedOut:
		a.ok("invoked %s, but the request has not yet finished, with id %s", i.name.full(), activationID(i.got))
		return &Error{Msg: i.failed.Msg, Code: i.failed.Code, Shown: true}
	case i.failed != nil:
		out = a.Err
	}
	if !i.result {
		a.okTo(out, "invoked %s with id %s", i.name.full(), activationID(i.got))
	}
	if i.blocking {
		a.jsonTo(out, sorted(i.got.body))
	}
	if i.failed != nil {
		return &Error{Msg: i.failed.Msg, Code: i.failed.Code, Shown: true}
	}
	return nil
}

// resultOf is what an action answered, whether body is its result or its record.
func resultOf(body []byte) json.RawMessage {
	var record struct {
		Response struct {
			Result json.RawMessage `json:"result"`
		} `json:"response"`
	}
	if json.Unmarshal(body, &record) == nil && record.Response.Result != nil {
		return record.Response.Result
	}
	return body
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
