package invoke

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Texts that clients see. Those of OpenWhisk are exact.
const (
	msgInitExited     = "The action did not initialize and exited unexpectedly."
	msgRunExited      = "The action did not produce a valid response and exited unexpectedly."
	msgOutOfMemory    = "The action exhausted its memory and was aborted."
	msgProvision      = "Failed to provision resources to run the action."
	msgRemoved        = "Action could not be found or may have been deleted."
	msgFetch          = "Action could not be fetched."
	msgIncompatible   = "Action version is not compatible and cannot be invoked."
	msgSystemLimit    = "Action limit exceeded the system limit."
	msgUnavailable    = "The server is currently unavailable (because it is overloaded or down for maintenance)."
	msgBlocked        = "The action was not invoked due to a blacklisted namespace."
	msgNothingAllowed = "The namespace limit is less than or equal to 0."
	msgLogsMissing    = "The action did not initialize or run as expected. Log data might be missing."

	msgSequenceFailed     = "Sequence failed."
	msgCompositionTooLong = "Too many actions in the composition."
	msgCompositionFailed  = "Activation failure during composition."

	// OpenWhisk has no counterpart to these.
	msgRunFailed   = "The platform failed while it ran the action."
	msgStopped     = "The platform was stopped before the action ended."
	msgInterrupted = "The platform stopped while the action ran. It was not run again."
	msgQueueFull   = "Too many accepted calls of this namespace wait to be run."
)

func msgRate(count, allowed int) string {
	return fmt.Sprintf("Too many requests in the last minute (count: %d, allowed: %d).", count, allowed)
}

func msgConcurrent(count, allowed int) string {
	return fmt.Sprintf("Too many concurrent requests in flight (count: %d, allowed: %d).", count, allowed)
}

func msgInitTimeout(ms int) string {
	return fmt.Sprintf("The action exceeded its time limits of %d milliseconds during initialization.", ms)
}

func msgRunTimeout(ms int) string {
	return fmt.Sprintf("The action exceeded its time limits of %d milliseconds.", ms)
}

func msgInitFailed(body []byte) string {
	if len(body) == 0 {
		return "The action failed during initialization."
	}
	return "The action failed during initialization: " + string(body)
}

func msgSequenceLate(id string) string {
	return "Timeout reached when retrieving activation " + id + " for sequence component."
}

func msgCompositionLate(id string) string {
	return "Timeout reached when retrieving activation " + id + " during composition."
}

func msgTargetMalformed(value []byte) string {
	var compact bytes.Buffer
	if json.Compact(&compact, value) == nil {
		value = compact.Bytes()
	}
	return "Failed to parse action name from json value " + string(value) + " during composition."
}

func msgTargetMissing(path string) string {
	return "Failed to resolve action with name '" + path + "' during composition."
}

func msgTargetDenied(path string) string {
	return "Failed entitlement check for action with name '" + path + "' during composition."
}

func msgInvalidResponse(body []byte) string {
	if len(body) == 0 {
		return "The action did not produce a valid JSON or JSON Array response."
	}
	return "The action did not produce a valid JSON or JSON Array response: " + string(body)
}

func msgTooLarge(size, allowed int, prefix []byte) string {
	return fmt.Sprintf("The action produced a response that exceeded the allowed length: %d > %d bytes. The truncated response was: %s",
		size, allowed, prefix)
}

// msgNotRedriven says why a dead letter stays one; result is {"error":text}.
func msgNotRedriven(result []byte) string {
	return "The call cannot be accepted again: " + string(result)
}
