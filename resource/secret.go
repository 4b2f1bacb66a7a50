package resource

// VaultSecret is where $secret://vault/<id>/… leads: a HashiCorp Vault.
type VaultSecret struct {
	ID        ID     `json:"id"` // vault/<id>
	URI       string `json:"uri"`
	Prefix    string `json:"prefix"`
	Token     string `json:"token"`
	Namespace string `json:"namespace"`
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
