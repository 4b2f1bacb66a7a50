package plugins

// Texts that clients of the Admin API and of the data plane see, where they are
// shared or have parameters.
const (
	msgOddRegexURI  = "The length of regex_uri should be an even number"
	msgBadRegexURI  = "invalid regex_uri(%s, %s): %w"
	msgBadRedirect  = "invalid regex_uri (%s, %s), err:%w"
	msgMatchingURI  = "failed to match the uri %s (%s) : %w"
	msgBadVars      = "failed to validate the 'vars' expression: %w"
	msgBadBase64    = "invalid base64 content"
	msgBadRegex     = "regex \"%s\" validation failed: %w"
	msgBatchEmpty   = "no request body, you should give at least one pipeline setting"
	msgBatchNoJSON  = "invalid request body: %s, err: %w"
	msgBatchBad     = "bad request body: %w"
	msgBatchTooMany = "too many pipeline requests, %d exceeds the maximum of %d"
	msgBatchTooLong = "request size %d is greater than the maximum size %d allowed"

	msgNoUpstream  = "failed to fetch upstream info by upstream id: "
	msgBadMatch    = "failed to validate the 'match' expression: %w"
	msgNoLogFormat = "log_format is not set, in neither the plugin conf nor the metadata"
	msgNoLogPath   = `property "path" is not set in either the plugin conf or the metadata`
)
