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
	"ocsp_stapling":{"type":"object","properties":{
		"enabled":{"type":"boolean","default":false},
		"skip_verify":{"type":"boolean","default":false},
		"cache_ttl":{"type":"integer","minimum":60,"default":3600}}},
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
