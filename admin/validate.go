package admin

import (
	"errors"
	"fmt"
	"net/http"

	"millrace/resource"
)

// fault is what is wrong with one item of a document of resources.
type fault struct {
	ResourceType string `json:"resource_type"`
	ResourceID   string `json:"resource_id"`
	Index        int    `json:"index"`
	Error        string `json:"error"`
}

// validateConfigs checks a document of lists of resources, {"routes":[…],…},
// without storing it. What an item refers to is not looked for: it may come with
// the same document.
func (a *api) validateConfigs(c *call) answer {
	doc, ok := c.body.(map[string]any)
	if !ok {
		return *fail(http.StatusBadRequest, msgMissingConf)
	}
	var faults []fault
	for _, k := range resource.Kinds() {
		items, _ := doc[k.Folder].([]any)
		found, err := a.faultsOf(k, items)
		if err != nil {
			a.Log.Error("validating a configuration", "kind", k.Word, "error", err)
			return page(http.StatusInternalServerError)
		}
		faults = append(faults, found...)
	}
	if faults == nil {
		return answer{status: http.StatusOK, body: struct{}{}}
	}
	return answer{status: http.StatusBadRequest, body: map[string]any{"error_msg": msgValidation, "errors": faults}}
}

// faultsOf checks the items of one kind.
func (a *api) faultsOf(k *resource.Kind, items []any) (faults []fault, err error) {
	seen := map[string]bool{}
	for i, item := range items {
		object, _ := item.(map[string]any)
		id := textOf(object["id"])
		var invalid resource.Invalid
		switch err := k.Check(item, resource.World{Plugins: a.Plugins}); {
		case errors.As(err, &invalid):
			faults = append(faults, fault{k.Folder, id, i, invalid.Error()})
		case err != nil:
			return nil, err
		case id != "" && seen[id]:
			faults = append(faults, fault{k.Folder, id, i, fmt.Sprintf("found duplicate id %s in %s", id, k.Folder)})
		}
		seen[id] = true
	}
	return faults, nil
}
