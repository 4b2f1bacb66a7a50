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
)

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
