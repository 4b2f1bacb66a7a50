package whisk

import (
	"fmt"
	"strings"
)

// Texts that a client of the REST API can see. They are OpenWhisk's own, since
// tools look for phrases in them.
const (
	MsgAuthenticationMissing = "The resource requires authentication, which was not supplied with the request"
	MsgAuthenticationInvalid = "The supplied authentication is invalid"
	MsgNoSuchPath            = "The requested resource could not be found."
	MsgNotFound              = "The requested resource does not exist."
	MsgExists                = "resource already exists"
	MsgOtherCollection       = "Resource by this name exists but is not in this collection."
	MsgConcurrentChange      = "Concurrent modification to resource detected."
	MsgInternal              = "There was an internal server error."
	MsgTransportLimit        = "The request is larger than the server is willing or able to process."
	MsgBodyMissing           = "Request entity expected but not supplied"
	MsgBodyTooSlow           = "The request body did not arrive in time."
	MsgTooMuchAtOnce         = "Too many large requests or answers of this namespace are under way at once. Try again later."
	MsgBusy                  = "Too many large requests or answers are under way at once. Try again later."
	MsgURITooLong            = "URI length exceeds the configured limit of 8192 characters"

	MsgExecUndefined        = "exec undefined"
	MsgReservedProperties   = "Request defines parameters that are not allowed (e.g., reserved properties)."
	MsgPackageReserved      = "Package name 'default' is reserved."
	MsgDocsWithCount        = "The parameter 'docs' is not permitted with 'count'."
	MsgNameIllegal          = "The name of the entity contains illegal characters."
	MsgNamespaceIllegal     = "The namespace contains illegal characters."
	MsgActivationIDIllegal  = "The activation id is not valid."
	MsgPayloadNotObject     = "JSON object expected"
	MsgParametersMalformed  = "parameters malformed!"
	MsgAnnotationsMalformed = "annotations malformed!"
	MsgVersionMalformed     = "semantic version malformed"
	MsgFullNameMalformed    = "fully qualified name malformed"

	MsgBindingMissing    = "Binding references a package that does not exist."
	MsgBindingOfBinding  = "Cannot bind to another package binding."
	MsgBindingNotPackage = "Cannot bind to a resource that is not a package."
	MsgPackageNoBinding  = "Resource is a package and cannot be converted into a binding."
	MsgNotOnBinding      = "Operation not permitted on package binding."

	MsgSequenceEmpty   = "No component specified for the sequence."
	MsgSequenceCyclic  = "Sequence may not refer to itself."
	MsgSequenceMissing = "Sequence component does not exist."
	MsgSequenceTooLong = "Too many actions in the sequence."

	MsgFeedNameInvalid  = "Feed name is not valid"
	MsgRuleIncomplete   = "rule requires a valid trigger and a valid action"
	MsgRuleNeedsTrigger = "Only rules with existing triggers can be activated"
)

// msgNoImages has no counterpart in OpenWhisk, which always runs containers.
const msgNoImages = "'blackbox' actions are not supported by this platform: it runs no container images."

// msgNegativeInstances is the text for limits.instances below 0.
const msgNegativeInstances = "Action container concurrency must be greater than or equal to 0."

// MsgMalformed introduces what is wrong with a request body.
func MsgMalformed(detail string) string { return "The request content was malformed:\n" + detail }

// MsgQueryMalformed says what is wrong with a query parameter.
func MsgQueryMalformed(parameter, detail string) string {
	return "The query parameter '" + parameter + "' was malformed:\n" + detail
}

// MsgForbidden names the resource (ns/name) that the caller may not use.
func MsgForbidden(resource string) string {
	return "The supplied authentication is not authorized to access '" + resource + "'."
}

func msgKindForbidden(kind string) string {
	return "The supplied authentication is not authorized to access actions of kind '" + kind + "'."
}

// MsgNamedNotFound says that the resource with this path does not exist.
func MsgNamedNotFound(path string) string {
	return "The requested resource '" + path + "' does not exist."
}

// MsgTooLarge says that a part of a request is over its limit, in bytes.
func MsgTooLarge(what string, size, limit int64) string {
	return fmt.Sprintf("%s larger than allowed: %d > %d bytes.", what, size, limit)
}

// MsgTooManyRules says that a trigger has as many rules as it may have.
func MsgTooManyRules(allowed int) string {
	return fmt.Sprintf("A trigger may have at most %d rules.", allowed)
}

// MsgTooManyFollowed says that too many streams of logs are open.
func MsgTooManyFollowed(count, allowed int) string {
	return fmt.Sprintf("Too many logs are followed at once (count: %d, allowed: %d).", count, allowed)
}

// MsgContentType says that a body is not labelled as JSON.
func MsgContentType(given string) string {
	return "The request's Content-Type [" + given + "] is not supported. Expected:\napplication/json"
}

// MsgDeprecated says that actions of a kind can no longer be changed or called.
func MsgDeprecated(kind string) string {
	return "The '" + kind + "' runtime is no longer supported. You may read and delete but not update or invoke this action."
}

// MsgPackageNotEmpty says how many entities keep a package from being deleted.
func MsgPackageNotEmpty(n int) string {
	word := "entities"
	if n == 1 {
		word = "entity"
	}
	return fmt.Sprintf("Package not empty (contains %d %s). Set force param or delete package contents.", n, word)
}

// MsgPackageCircular says that a binding (ns/name) leads back to itself.
func MsgPackageCircular(path string) string {
	return "Package binding '" + path + "' contains a circular reference."
}

// MsgTriggerMissing says that a rule refers to a trigger that does not exist.
func MsgTriggerMissing(n FullName) string { return "trigger " + n.String() + " does not exist" }

// MsgActionMissing says that a rule refers to an action that does not exist.
func MsgActionMissing(n FullName) string { return "action " + n.String() + " does not exist" }

// MsgRuleInactive says why a fired trigger did not call the action of a rule.
func MsgRuleInactive(rule, action string) string {
	return "Rule '" + rule + "' is inactive, action '" + action + "' was not activated."
}

func msgRuleState(s string) string {
	return "'" + s + "' is not a recognized rule state, must be one of ['active', 'inactive']"
}

func msgKindUnknown(kind string, valid []string) string {
	return "The specified runtime '" + kind + "' is not supported by this platform. Valid values are: '" +
		strings.Join(valid, "', '") + "'."
}

func msgNameTooLong(field string, n int) string {
	// The spelling is OpenWhisk's.
	return fmt.Sprintf("%s longer than allowed: %d > %d.", field, n, MaxNameLength)
}

func msgActivationIDLength(n int) string {
	return fmt.Sprintf("Activation id length is %d but must be 32.", n)
}

func msgAboveLimit(what, unit string, value, limit int) string {
	return fmt.Sprintf("%s %d%s exceeds allowed threshold of %d%s", what, value, unit, limit, unit)
}

func msgBelowLimit(what, unit string, value, limit int) string {
	return fmt.Sprintf("%s %d%s below allowed threshold of %d%s", what, value, unit, limit, unit)
}

func msgTooManyInstances(allowed int) string {
	return fmt.Sprintf("Max action instance concurrency must not exceed your namespace concurrency of %d.", allowed)
}
