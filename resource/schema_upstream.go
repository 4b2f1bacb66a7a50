package resource

// nodesSchema takes both forms of an upstream's nodes.
const nodesSchema = `{"anyOf":[
	{"type":"object","patternProperties":{".*":{"description":"weight of node","type":"integer","minimum":0}}},
	{"type":"array","items":{"type":"object","required":["host","weight"],"additionalProperties":false,"properties":{
		"host":` + hostSchema + `,
		"port":{"description":"port of node","type":"integer","minimum":1,"maximum":65535},
		"weight":{"description":"weight of node","type":"integer","minimum":0},
		"priority":{"description":"priority of node","type":"integer","default":0},
		"metadata":{"description":"metadata of node","type":"object"}}}}]}`

const upstreamSchema = `{"type":"object","additionalProperties":false,"properties":{
	"nodes":` + nodesSchema + `,
	"retries":{"type":"integer","minimum":0},
	"retry_timeout":{"type":"number","minimum":0},
	"timeout":` + timeoutSchema + `,
	"tls":` + upstreamTLSSchema + `,
	"keepalive_pool":{"type":"object","additionalProperties":false,"properties":{
		"size":{"type":"integer","default":320,"minimum":1},
		"idle_timeout":{"type":"number","default":60,"minimum":0},
		"requests":{"type":"integer","default":1000,"minimum":1}}},
	"type":{"description":"algorithms of load balancing","type":"string","default":"roundrobin"},
	"checks":` + checksSchema + `,
	"hash_on":{"type":"string","default":"vars","enum":["vars","header","cookie","consumer","vars_combinations"]},
	"key":{"description":"the key of chash for dynamic load balancing","type":"string"},
	"scheme":{"default":"http","enum":["grpc","grpcs","http","https","tcp","tls","udp","kafka"]},
	"discovery_type":{"description":"discovery type","type":"string"},
	"discovery_args":{"type":"object","additionalProperties":false,"properties":{
		"namespace_id":{"description":"namespace id","type":"string"},
		"group_name":{"description":"group name","type":"string"}}},
	"pass_host":{"description":"mod of host passing","type":"string","enum":["pass","node","rewrite"],"default":"pass"},
	"upstream_host":` + hostSchema + `,
	` + nameProperty + `,` + descProperty + `,` + labelProperty + `,
	"service_name":{"type":"string","minLength":1,"maxLength":256},
	` + idProperty + `,` + timesProperties + `},
	"oneOf":[{"required":["nodes"]},{"required":["service_name","discovery_type"]}]}`

const upstreamTLSSchema = `{"type":"object","additionalProperties":false,"properties":{
	"client_cert_id":` + idSchema + `,
	"client_cert":{"type":"string","minLength":128,"maxLength":65536},
	"client_key":{"type":"string","minLength":64,"maxLength":65536},
	"verify":{"type":"boolean","default":false,"description":"Turn on server certificate verification"}},
	"dependencies":{
		"client_cert":{"required":["client_key"],"not":{"required":["client_cert_id"]}},
		"client_key":{"required":["client_cert"],"not":{"required":["client_cert_id"]}},
		"client_cert_id":{"not":{"anyOf":[{"required":["client_cert"]},{"required":["client_key"]}]}}}}`

// checksSchema describes health checks. Passive ones need active ones: only an
// active check makes a node healthy again.
const checksSchema = `{"type":"object","additionalProperties":false,"properties":{
	"active":{"type":"object","additionalProperties":false,"properties":{
		"type":{"type":"string","enum":["http","https","tcp"],"default":"http"},
		"timeout":{"type":"number","default":1},
		"concurrency":{"type":"integer","default":10},
		"host":` + hostSchema + `,
		"port":{"type":"integer","minimum":1,"maximum":65535},
		"http_method":{"type":"string","enum":` + methodEnum + `,"default":"GET"},
		"http_req_body":{"type":"string","default":""},
		"http_path":{"type":"string","default":"/"},
		"https_verify_certificate":{"type":"boolean","default":true},
		"req_headers":{"type":"array","minItems":1,"items":{"type":"string"}},
		"healthy":{"type":"object","additionalProperties":false,"properties":{
			"interval":{"type":"integer","minimum":1,"default":1},
			"http_statuses":` + statusesStart + `[200,302]},
			"successes":{"type":"integer","minimum":1,"maximum":254,"default":2}}},
		"unhealthy":{"type":"object","additionalProperties":false,"properties":{
			"interval":{"type":"integer","minimum":1,"default":1},
			"http_statuses":` + statusesStart + `[429,404,500,501,502,503,504,505]},
			"http_failures":{"type":"integer","minimum":1,"maximum":254,"default":5},
			"tcp_failures":{"type":"integer","minimum":1,"maximum":254,"default":2},
			"timeouts":{"type":"integer","minimum":1,"maximum":254,"default":3}}}}},
	"passive":{"type":"object","additionalProperties":false,"properties":{
		"type":{"type":"string","enum":["http","https","tcp"],"default":"http"},
		"healthy":{"type":"object","additionalProperties":false,"properties":{
			"http_statuses":` + statusesStart + `[200,201,202,203,204,205,206,207,208,226,300,301,302,303,304,305,306,307,308]},
			"successes":{"type":"integer","minimum":0,"maximum":254,"default":5}}},
		"unhealthy":{"type":"object","additionalProperties":false,"properties":{
			"http_statuses":` + statusesStart + `[429,500,503]},
			"tcp_failures":{"type":"integer","minimum":0,"maximum":254,"default":2},
			"timeouts":{"type":"integer","minimum":0,"maximum":254,"default":7},
			"http_failures":{"type":"integer","minimum":0,"maximum":254,"default":5}}}}}},
	"anyOf":[{"required":["active"]},{"required":["active","passive"]}]}`

// statusesStart begins the schema of a list of HTTP statuses; its default follows.
const statusesStart = `{"type":"array","minItems":1,"uniqueItems":true,"items":{"type":"integer","minimum":200,"maximum":599},"default":`
