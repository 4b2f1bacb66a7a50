package resource

func init() {
	registerSecret("aws", awsSchema)
}

// AWSSecret is where $secret://aws/<id>/… leads: AWS Secrets Manager.
type AWSSecret struct {
	ID              ID     `json:"id"` // aws/<id>
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	SessionToken    string `json:"session_token"`
	Region          string `json:"region"` // empty means us-east-1
	EndpointURL     string `json:"endpoint_url"`
}

const awsSchema = `{"type":"object","required":["access_key_id","secret_access_key"],"properties":{
	"access_key_id":{"type":"string"},
	"secret_access_key":{"type":"string"},
	"session_token":{"type":"string"},
	"region":{"type":"string","default":"us-east-1"},
	"endpoint_url":{"type":"string","pattern":"^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?"}}}`
