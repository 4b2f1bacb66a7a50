package apis

import "strconv"

// What clients of the management read, in {"error":…}.
const (
	msgKeyRequired       = "A valid auth key is required."
	msgInvalidAuth       = "Invalid authentication."
	msgDocRequired       = "apidoc is required."
	msgDocUnparsable     = "apidoc field cannot be parsed. Ensure it is valid JSON."
	msgBothForms         = "swagger and gatewayBasePath are mutually exclusive and cannot be specified together."
	msgSwaggerUnparsable = "swagger field cannot be parsed. Ensure it is valid JSON."
	msgBasePathRequired  = "basepath is required."
	msgPathRequired      = "When specifying an operation, the path is required."
	msgResponseType      = "responsetype must be one of http, json, html, svg, text."
	msgBackendURL        = "action has a backendUrl that is no http or https URL."
	msgActionName        = "action has a name or namespace that is malformed."
	msgInternal          = "There was an internal server error."

	msgKeyLength  = "key must have 16 to 256 printable characters; leave it out to have one made."
	msgIDRequired = "id is required."

	creating     = "API creation failure: "
	deleting     = "API deletion failure: "
	unconfigured = creating + "Unable to configure the API Gateway (status code 400): Error: "

	msgResponseMustBeHTTP = creating + "The action must use a response type of '.http' in order to receive the path parameters."
)

func msgWrongType(field, typ, want string) string {
	return field + " is of type " + typ + " and should be " + want + "."
}

func msgDocMissing(field string) string {
	switch field {
	case "action":
		return "apidoc is missing the action field."
	}
	return "apidoc is missing the " + field + " field"
}

func msgActionMissing(field string) string  { return "action is missing the " + field + " field." }
func msgSwaggerMissing(field string) string { return "swagger is missing the " + field + " field." }

func msgNoAPI(base string) string { return "API '" + base + "' does not exist." }

func msgManyAPIs(name string) string {
	return "More than one API has the name '" + name + "'. Give its base path."
}

func msgNoSubscription(id string) string { return "There is no subscription '" + id + "'." }

func msgNoPath(path string) string {
	return deleting + "path '" + path + "' does not exist in the API"
}

func msgNoOperation(path, verb string) string {
	return deleting + "path '" + path + "' with operation '" + verb + "' does not exist in the API"
}

func msgBaseWithParameters(base string) string {
	return creating + "The base path (" + base + ") cannot have parameters. Only the relative path supports path parameters."
}

func msgTargetPath(operationID string) string {
	return creating + "The target-url for operationId '" + operationID + "' must end in '$(request.path)' in order for actions to receive the path parameters."
}

func msgUnknownParameter(name, path string) string {
	return creating + "The parameter '" + name + "' defined in path '" + path + "' does not match any of the parameters defined for the path in the swagger file."
}

func msgVerb(verb string) string {
	return unconfigured + "Resource verb '" + verb + "' not supported"
}

func msgUnreadable(field string) string {
	return unconfigured + "The field '" + field + "' cannot be read"
}

func msgBadPath(path string) string {
	return unconfigured + "The path '" + path + "' must consist of segments that are text or one {parameter}"
}

func msgBadBackend(operationID string) string {
	return unconfigured + "The backend of operation '" + operationID + "' is no http or https URL"
}

func msgBadSecurity(name string) string {
	return unconfigured + "The security definition '" + name + "' is not supported; it must be an apiKey in a header or the query, or a client id with its client secret"
}

const msgBadRate = unconfigured + "A rate limit needs units and a rate that are whole numbers above 0"

func msgTooMany(what string, limit int) string {
	return creating + "There are more " + what + " than the " + strconv.Itoa(limit) + " allowed."
}

// What clients of the APIs read, in {"status":…,"message":…}.
const (
	msgNotFound     = "Error: Not found."
	msgVerbUnknown  = "Error: Whoops. Verb not supported."
	msgUnauthorized = "Error: Unauthorized"
	msgRateExceeded = "Error: Rate limit exceeded"
	msgNoBackend    = "Error: The backend does not answer."
	msgSlowClient   = "Error: The request body comes too slowly."
	msgSlowBackend  = "Error: The backend does not answer in time."
	msgLoop         = "Error: The backend of this API leads back to it."
)
