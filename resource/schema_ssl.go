package resource

const (
	certificateSchema = `{"type":"string","minLength":128,"maxLength":65536}`
	privateKeySchema  = `{"type":"string","minLength":64,"maxLength":65536}`
)

const sslSchema = `{"type":"object","additionalProperties":false,"properties":{
	` + idProperty + `,
	"type":{"description":"ssl certificate type, server to server certificate, client to client certificate for upstream","type":"string","default":"server","enum":["server","client"]},
	"cert":` + certificateSchema + `,
	"key":` + privateKeySchema + `,
	"sni":` + hostSchema + `,
	"snis":{"type":"array","items":` + hostSchema + `,"minItems":1},
	"certs":{"type":"array","items":` + certificateSchema + `},
	"keys":{"type":"array","items":` + privateKeySchema + `},
	"client":{"type":"object","required":["ca"],"additionalProperties":false,"properties":{
		"ca":` + certificateSchema + `,
		"depth":{"type":"integer","minimum":0,"default":1},
		"skip_mtls_uri_regex":{"type":"array","minItems":1,"uniqueItems":true,"items":{"description":"uri regular expression to skip mtls","type":"string"}}}},
	"ssl_protocols":{"description":"set ssl protocols","type":"array","maxItems":3,"uniqueItems":true,"items":{"enum":["TLSv1.1","TLSv1.2","TLSv1.3"]}},
	"acme":{"description":"get the certificate from the authority of the configuration","type":"boolean"},
	"status":{"description":"ssl status, 1 to enable, 0 to disable","type":"integer","enum":[1,0],"default":1},
	` + descProperty + `,` + labelProperty + `,
	"validity_start":{"type":"integer"},"validity_end":{"type":"integer"},
	` + timesProperties + `},
	"if":{"properties":{"type":{"enum":["server"]}}},
	"then":{"oneOf":[{"required":["sni","cert","key"]},{"required":["snis","cert","key"]},
		{"required":["sni","acme"],"properties":{"acme":{"enum":[true]}},"not":{"required":["cert"]}},
		{"required":["snis","acme"],"properties":{"acme":{"enum":[true]}},"not":{"required":["cert"]}}]},
	"else":{"required":["cert","key"]}}`

// The schemas of secret managers. They let other properties pass, as the
// original's do.
const (
	vaultSchema = `{"type":"object","required":["uri","prefix","token"],"properties":{
		"uri":{"type":"string","pattern":"^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?"},
		"prefix":{"type":"string"},
		"token":{"type":"string"},
		"namespace":{"type":"string"}}}`
	awsSchema = `{"type":"object","required":["access_key_id","secret_access_key"],"properties":{
		"access_key_id":{"type":"string"},
		"secret_access_key":{"type":"string"},
		"session_token":{"type":"string"},
		"region":{"type":"string","default":"us-east-1"},
		"endpoint_url":{"type":"string","pattern":"^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?"}}}`
	gcpSchema = `{"type":"object","properties":{
		"auth_config":{"type":"object","required":["client_email","private_key","project_id"],"properties":{
			"client_email":{"type":"string"},
			"private_key":{"type":"string"},
			"project_id":{"type":"string"},
			"token_uri":{"type":"string","default":"https://oauth2.googleapis.com/token"},
			"scope":{"type":"array","items":{"description":"Google OAuth2 Authorization Scopes","type":"string"},"default":["https://www.googleapis.com/auth/cloud-platform"]},
			"entries_uri":{"type":"string","default":"https://secretmanager.googleapis.com/v1"}}},
		"ssl_verify":{"type":"boolean","default":true},
		"auth_file":{"type":"string"}},
		"oneOf":[{"required":["auth_config"]},{"required":["auth_file"]}]}`
)
