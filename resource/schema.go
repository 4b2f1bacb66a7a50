package resource

// The schemas of APISIX 3.18 (spec/gateway.md §4). The order of the properties
// is the order in which they are checked, and so decides which of several
// mistakes is named. Defaults stand here for readers of the schema; stored
// resources keep only what was sent.
const (
	idSchema = `{"anyOf":[
		{"type":"string","minLength":1,"maxLength":64,"pattern":"^[a-zA-Z0-9-_.]+$"},
		{"type":"integer","minimum":1}]}`
	hostSchema = `{"type":"string","pattern":"^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$"}`
	ipSchema   = `{"description":"client IP","type":"string","anyOf":[
		{"title":"IPv4","type":"string","format":"ipv4"},
		{"title":"IPv4/CIDR","type":"string","pattern":"^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\\.([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\\.([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\\.([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])/([12]?[0-9]|3[0-2])$"},
		{"title":"IPv6","type":"string","format":"ipv6"},
		{"title":"IPv6/CIDR","type":"string","pattern":"^([a-fA-F0-9]{0,4}:){1,8}(:[a-fA-F0-9]{0,4}){0,8}([a-fA-F0-9]{0,4})?/[0-9]{1,3}$"}]}`
	timeoutSchema = `{"type":"object","required":["connect","send","read"],"additionalProperties":false,"properties":{
		"connect":{"type":"number","exclusiveMinimum":0},
		"send":{"type":"number","exclusiveMinimum":0},
		"read":{"type":"number","exclusiveMinimum":0}}}`
	pluginsSchema = `{"type":"object"}`
	methodEnum    = `["GET","POST","PUT","DELETE","PATCH","HEAD","OPTIONS","CONNECT","TRACE","PURGE"]`

	nameProperty  = `"name":{"type":"string","minLength":1,"maxLength":256}`
	descProperty  = `"desc":{"type":"string","maxLength":256}`
	labelProperty = `"labels":{"description":"key/value pairs to specify attributes","type":"object","patternProperties":{
		".*":{"description":"value of label","type":"string","pattern":"^\\S+$","minLength":1,"maxLength":256}}}`
	timesProperties = `"create_time":{"type":"integer"},"update_time":{"type":"integer"}`
	idProperty      = `"id":` + idSchema
)

// atMostOne is the schema of an object that has one of two properties or none.
func atMostOne(a, b string) string {
	one, other := `{"required":["`+a+`"]}`, `{"required":["`+b+`"]}`
	return `{"oneOf":[{"not":{"anyOf":[` + one + `,` + other + `]}},` + one + `,` + other + `]}`
}

var routeSchema = `{"type":"object","additionalProperties":false,"properties":{
	"uri":{"type":"string","minLength":1,"maxLength":4096},
	"uris":{"type":"array","items":{"description":"HTTP uri","type":"string"},"minItems":1,"uniqueItems":true},
	` + nameProperty + `,` + descProperty + `,
	"priority":{"type":"integer","default":0},
	"timeout":` + timeoutSchema + `,
	"vars":{"type":"array"},
	"methods":{"type":"array","uniqueItems":true,"items":{"description":"HTTP method","type":"string","enum":` + methodEnum + `}},
	"host":` + hostSchema + `,
	"hosts":{"type":"array","items":` + hostSchema + `,"minItems":1,"uniqueItems":true},
	"remote_addr":` + ipSchema + `,
	"remote_addrs":{"type":"array","items":` + ipSchema + `,"minItems":1,"uniqueItems":true},
	"filter_func":{"type":"string","minLength":10,"pattern":"^function"},
	"script":{"type":"string","minLength":10,"maxLength":102400},
	"script_id":` + idSchema + `,
	"plugins":` + pluginsSchema + `,
	"plugin_config_id":` + idSchema + `,
	"upstream":` + upstreamSchema + `,
	` + labelProperty + `,
	"enable_websocket":{"description":"enable websocket for request","type":"boolean"},
	"service_id":` + idSchema + `,
	"upstream_id":` + idSchema + `,
	` + idProperty + `,
	"status":{"description":"route status, 1 to enable, 0 to disable","type":"integer","enum":[1,0],"default":1},
	` + timesProperties + `},
	"allOf":[
		{"oneOf":[{"required":["uri"]},{"required":["uris"]}]},
		` + atMostOne("host", "hosts") + `,
		` + atMostOne("remote_addr", "remote_addrs") + `],
	"anyOf":[
		{"required":["plugins","uri"]},{"required":["upstream","uri"]},{"required":["upstream_id","uri"]},{"required":["service_id","uri"]},
		{"required":["plugins","uris"]},{"required":["upstream","uris"]},{"required":["upstream_id","uris"]},{"required":["service_id","uris"]},
		{"required":["script","uri"]},{"required":["script","uris"]}],
	"not":{"anyOf":[{"required":["script","plugins"]},{"required":["script","plugin_config_id"]}]}}`

const serviceSchema = `{"type":"object","additionalProperties":false,"properties":{
	` + idProperty + `,
	"plugins":` + pluginsSchema + `,
	"upstream":` + upstreamSchema + `,
	"upstream_id":` + idSchema + `,
	` + nameProperty + `,` + descProperty + `,` + labelProperty + `,
	"script":{"type":"string","minLength":10,"maxLength":102400},
	` + timesProperties + `,
	"enable_websocket":{"description":"enable websocket for request","type":"boolean"},
	"hosts":{"type":"array","items":` + hostSchema + `,"minItems":1,"uniqueItems":true}}}`

// groupSchema is that of plugin configs and of consumer groups.
const groupSchema = `{"type":"object","additionalProperties":false,"required":["id","plugins"],"properties":{
	` + nameProperty + `,` + idProperty + `,` + descProperty + `,
	"plugins":` + pluginsSchema + `,
	` + labelProperty + `,` + timesProperties + `}}`
