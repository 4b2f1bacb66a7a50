package resource

const consumerSchema = `{"type":"object","additionalProperties":false,"required":["username"],"properties":{
	"username":{"type":"string","minLength":1,"maxLength":256,"pattern":"^[a-zA-Z0-9_\\-]+$"},
	"group_id":` + idSchema + `,
	"plugins":` + pluginsSchema + `,
	` + descProperty + `,` + labelProperty + `,` + timesProperties + `}}`

// credentialSchema takes the id alone or with the consumer's name before it.
const credentialSchema = `{"type":"object","additionalProperties":false,"properties":{
	"id":{"anyOf":[
		{"type":"string","minLength":15,"maxLength":128,"pattern":"^[a-zA-Z0-9_\\-]+/credentials/[a-zA-Z0-9-_.]+$"},
		{"type":"string","minLength":1,"maxLength":64,"pattern":"^[a-zA-Z0-9-_.]+$"},
		{"type":"integer","minimum":1}]},
	"plugins":{"type":"object","maxProperties":1},
	` + nameProperty + `,` + descProperty + `,` + labelProperty + `,` + timesProperties + `}}`

const globalRuleSchema = `{"type":"object","additionalProperties":false,"required":["id","plugins"],"properties":{
	` + idProperty + `,
	"plugins":` + pluginsSchema + `,
	` + timesProperties + `}}`

const protoSchema = `{"type":"object","additionalProperties":false,"required":["content"],"properties":{
	` + idProperty + `,` + nameProperty + `,` + descProperty + `,` + labelProperty + `,
	"content":{"type":"string","minLength":1,"maxLength":1048576},
	` + timesProperties + `}}`

const streamRouteSchema = `{"type":"object","additionalProperties":false,"properties":{
	` + idProperty + `,` + nameProperty + `,` + descProperty + `,` + labelProperty + `,` + timesProperties + `,
	"remote_addr":` + ipSchema + `,
	"server_addr":` + ipSchema + `,
	"server_port":{"description":"server port","type":"integer","minimum":0,"maximum":65535},
	"sni":` + hostSchema + `,
	"upstream":` + upstreamSchema + `,
	"upstream_id":` + idSchema + `,
	"service_id":` + idSchema + `,
	"plugins":` + pluginsSchema + `,
	"protocol":{"type":"object","required":["name"],"additionalProperties":false,"properties":{
		"name":{"type":"string"},
		"superior_id":` + idSchema + `,
		"conf":{"description":"protocol-specific configuration","type":"object"},
		"metric":{"type":"object","properties":{"enable":{"type":"boolean"}}},
		"logger":{"type":"array","items":{"type":"object","additionalProperties":false,"dependencies":{"name":["conf"]},"properties":{
			"name":{"type":"string"},
			"filter":{"description":"logger filter rules","type":"array"},
			"conf":{"description":"logger plugin configuration","type":"object"}}}}}}}}`

// pluginListSchema is that of the list of plugins in use.
const pluginListSchema = `{"type":"array","items":{"type":"object","required":["name"],"properties":{
	"name":{"type":"string","minLength":1},
	"stream":{"type":"boolean"}}}}`
