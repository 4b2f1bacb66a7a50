package resource

func init() {
	registerSecret("vault", vaultSchema)
}

// VaultSecret is where $secret://vault/<id>/… leads: a HashiCorp Vault.
type VaultSecret struct {
	ID        ID     `json:"id"` // vault/<id>
	URI       string `json:"uri"`
	Prefix    string `json:"prefix"`
	Token     string `json:"token"`
	Namespace string `json:"namespace"`
}

const vaultSchema = `{"type":"object","required":["uri","prefix","token"],"properties":{
	"uri":{"type":"string","pattern":"^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?"},
	"prefix":{"type":"string"},
	"token":{"type":"string"},
	"namespace":{"type":"string"}}}`
