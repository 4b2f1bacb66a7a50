package whisk

import "encoding/json"

// Status is how an activation ended. The numbers are what activation lists show.
type Status int

// The outcomes of spec/openwhisk.md §3.3, and one for a call that still runs.
const (
	Success          Status = 0
	ApplicationError Status = 1
	DeveloperError   Status = 2
	WhiskError       Status = 3
	Running          Status = -1
)

// String is the text of response.status.
func (s Status) String() string {
	switch s {
	case Success:
		return "success"
	case ApplicationError:
		return "application error"
	case DeveloperError:
		return "action developer error"
	case WhiskError:
		return "whisk internal error"
	}
	return "running"
}

// Activation is the record of one call. Once put in a log it is not changed.
type Activation struct {
	Namespace   string    `json:"namespace"` // the invoker's
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Subject     string    `json:"subject"`
	ID          string    `json:"activationId"` // 32 lower-case hex digits
	Cause       string    `json:"cause,omitempty"`
	Start       int64     `json:"start"` // ms since 1970
	End         int64     `json:"end,omitempty"`
	Duration    int64     `json:"duration,omitempty"` // ms; of a sequence or composition the sum of its calls'
	Publish     bool      `json:"publish"`
	Response    Response  `json:"response"`
	Logs        []string  `json:"logs"`
	Annotations KeyValues `json:"annotations"`

	// Queued: the call with status Running waits for its turn. Tail is what a
	// running one logs, if that can be seen. Neither is stored.
	Queued bool `json:"-"`
	Tail   Tail `json:"-"`
}

// Response is the outcome of an activation.
type Response struct {
	Status Status `json:"statusCode"`
	// Result is JSON as the action gave it; for an error exactly {"error":…}.
	Result json.RawMessage `json:"result,omitempty"`
	// Size is the length of the runtime's answer in bytes, nil if unknown.
	Size *int `json:"size,omitempty"`
}
