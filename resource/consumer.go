package resource

// Consumer is someone who calls, known by the credentials in its plugins or in
// Credentials.
type Consumer struct {
	Username string            `json:"username"`
	GroupID  ID                `json:"group_id"`
	Plugins  Plugins           `json:"plugins"`
	Labels   map[string]string `json:"labels"`
}

// Credential is one more way for a consumer to prove who it is: at most one
// authentication plugin. The consumer's name stands in its key.
type Credential struct {
	ID      ID                `json:"id"`
	Name    string            `json:"name"`
	Plugins Plugins           `json:"plugins"`
	Labels  map[string]string `json:"labels"`
}

// ConsumerGroup is plugins that several consumers have in common.
type ConsumerGroup struct {
	ID      ID                `json:"id"`
	Name    string            `json:"name"`
	Plugins Plugins           `json:"plugins"`
	Labels  map[string]string `json:"labels"`
}
