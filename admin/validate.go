package admin

import (
	"errors"
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

// documentFolders are the lists that a document of resources may have.
func documentFolders() (folders []string) {
	for _, k := range resource.Kinds() {
		if k.Folder != "credentials" { // they are items among the consumers
			folders = append(folders, k.Folder)
		}
	}
	return append(folders, "plugins")
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
	for _, folder := range documentFolders() {
		items, refused := itemsOf(doc, folder)
		if refused != nil {
			return *refused
		}
		_, found, err := a.checkItems(folder, items)
		if err != nil {
			a.Log.Error("validating a configuration", "folder", folder, "error", err)
			return page(http.StatusInternalServerError)
		}
		faults = append(faults, found...)
	}
	if faults == nil {
		return answer{status: http.StatusOK, body: struct{}{}}
	}
	return answer{status: http.StatusBadRequest, body: map[string]any{"error_msg": msgValidation, "errors": faults}}
}

// itemsOf answers a list of a document. Clients whose language has one type for
// both write an empty one as an object.
func itemsOf(doc map[string]any, folder string) ([]any, *answer) {
	switch list := doc[folder].(type) {
	case nil:
		return nil, nil
	case []any:
		return list, nil
	case map[string]any:
		if len(list) == 0 {
			return nil, nil
		}
	}
	return nil, fail(http.StatusBadRequest, notAList(folder))
}

// checkItems checks a list of a document and answers its good items as the store
// keeps them, by their keys.
func (a *api) checkItems(folder string, items []any) (good map[string]map[string]any, faults []fault, err error) {
	good = map[string]map[string]any{}
	if folder == "plugins" {
		return good, nil, nil // the list of plugins in use is the configuration file's
	}
	for i, item := range items {
		object, _ := item.(map[string]any)
		kind, key := resource.ItemKey(folder, object, i)
		what, id := "id", resource.TextOf(object["id"])
		switch {
		case kind.Folder == "credentials":
			what = "credential id"
		case folder == "consumers":
			what, id = "username", resource.TextOf(object["username"])
		}
		if object != nil {
			object = resource.ForStore(object, key)
			item = object
		}
		var invalid resource.Invalid
		switch err := kind.Check(item, resource.World{Plugins: a.Plugins, Env: a.Env}); {
		case errors.As(err, &invalid):
			faults = append(faults, fault{folder, id, i, invalid.Error()})
		case err != nil:
			return nil, nil, err
		case good[key] != nil:
			faults = append(faults, fault{folder, id, i, duplicate(what, id, folder)})
		default:
			good[key] = object
		}
	}
	return good, faults, nil
}
