package resource

func init() {
	registerSecret("gcp", gcpSchema)
}

// GCPSecret is where $secret://gcp/<id>/… leads: Google's Secret Manager.
type GCPSecret struct {
	ID         ID       `json:"id"` // gcp/<id>
	AuthConfig *GCPAuth `json:"auth_config"`
	AuthFile   string   `json:"auth_file"`  // a path, instead of AuthConfig
	SSLVerify  *bool    `json:"ssl_verify"` // nil means true
}

// GCPAuth is a service account. Empty URIs and scopes stand for Google's own.
type GCPAuth struct {
	ClientEmail string   `json:"client_email"`
	PrivateKey  string   `json:"private_key"`
	ProjectID   string   `json:"project_id"`
	TokenURI    string   `json:"token_uri"`
	EntriesURI  string   `json:"entries_uri"`
	Scope       []string `json:"scope"`
}

const gcpSchema = `{"type":"object","properties":{
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
