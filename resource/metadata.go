package resource

import (
	"encoding/json"
)

// PluginMetadata is what all instances of one plugin have in common. Its id is
// the plugin's name.
type PluginMetadata struct {
	ID   ID
	Conf json.RawMessage // the whole object, with the id
}

// UnmarshalJSON keeps the object and reads its id.
func (m *PluginMetadata) UnmarshalJSON(data []byte) error {
	var with struct {
		ID ID `json:"id"`
	}
	if err := json.Unmarshal(data, &with); err != nil {
		return err
	}
	m.ID, m.Conf = with.ID, append(json.RawMessage(nil), data...)
	return nil
}

// Proto is a Protocol Buffers definition: its text, or a FileDescriptorSet in
// Base64.
type Proto struct {
	ID      ID     `json:"id"`
	Name    string `json:"name"`
	Content string `json:"content"`
}
