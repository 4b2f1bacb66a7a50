package invoke

import (
	"encoding/json"
	"time"

	"millrace/whisk"
)

// Call is one invocation of an action, resolved and checked by its maker.
type Call struct {
	ID            string // activation id, from NewID
	TransactionID string
	Caller        *whisk.Identity
	Action        *whisk.Action
	// Inherited are the package's and binding's parameters, merged; the action's
	// own override them.
	Inherited whisk.KeyValues
	// Binding is ns/pkg of the binding the action was reached through, or empty.
	Binding string
	// Payload is a valid JSON object or array, or empty for none. It may be used
	// again once Invoke has returned.
	Payload json.RawMessage
	// Cause is the activation id of the enclosing sequence, or empty.
	Cause string
	// Blocking waits up to Wait for the end; otherwise the call is queued.
	Blocking bool
	Wait     time.Duration
}
