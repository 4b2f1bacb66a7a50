package web

// Texts that clients see. Those of OpenWhisk are exact.
const (
	msgUnauthorized = "Authentication is possible but has failed or not yet been provided."
	msgMethod       = "HTTP method not allowed, supported methods: GET, DELETE, POST, PUT, HEAD, OPTIONS, PATCH"
	msgNotReady     = "Response not yet ready."
	msgFailed       = "There was an error processing your request."
	msgNoProperty   = "Response does not include requested property."
	msgUnknownType  = "Response did not specify a known content-type."
	msgTypeMismatch = "Response type in header did not match generated content type."
	msgBadQuery     = "the query string is not well-formed"
	msgBadForm      = "the form is not well-formed or has too many fields"
)

// msgNotValid says that a result is nothing that can be answered as this type.
func msgNotValid(mediaType string) string { return "Response is not valid '" + mediaType + "'." }

func msgNotAcceptable(contentType string) string {
	return "Resource representation is only available with these types:\n" + contentType
}
