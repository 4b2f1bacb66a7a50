package admin

import (
	"encoding/json"
	"net/http"

	"millrace/store"
)

// node is a resource in an answer.
type node struct {
	Key           string          `json:"key"`
	Value         json.RawMessage `json:"value"`
	CreatedIndex  int64           `json:"createdIndex,omitempty"`
	ModifiedIndex int64           `json:"modifiedIndex,omitempty"`
}

// actionNode is the answer of v2 about one resource.
type actionNode struct {
	Action string `json:"action"`
	Node   node   `json:"node"`
}

func indexedNode(e store.Entry, value []byte) node {
	return node{e.Key, value, e.CreateRevision, e.ModRevision}
}

// written is the answer to a write.
func (c *collection) written(key string, value []byte, how writing) answer {
	n := node{Key: key, Value: value}
	if c.version() == "v2" {
		return answer{status: how.status, body: actionNode{how.action, n}}
	}
	return answer{status: how.status, body: n}
}

// deleted is the answer to a deletion.
func (c *collection) deleted(key string) answer {
	body := map[string]any{"key": key, "deleted": "1"}
	if c.version() == "v2" {
		body["action"], body["node"] = "delete", struct{}{}
	}
	return answer{status: http.StatusOK, body: body}
}

// listedV2 is the answer of v2 with all resources below a key, as they are stored.
func (c *collection) listedV2(key string, entries []store.Entry) answer {
	type dir struct {
		Key   string `json:"key"`
		Dir   bool   `json:"dir"`
		Nodes []node `json:"nodes"`
	}
	nodes := c.nodes(entries, func(e store.Entry) (json.RawMessage, error) { return c.withoutHidden(e.Value) })
	return answer{status: http.StatusOK, body: map[string]any{
		"action": "get", "node": dir{key, true, nodes},
	}}
}
