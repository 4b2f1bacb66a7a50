package resource

import (
	"encoding/json"
	"fmt"

	"millrace/internal/jsonvalue"
)

// ItemKey answers the store key of an item in a document of lists of resources,
// {"routes":[…],"consumers":[…],…}, as apisix.yaml is one: by its id or, if it has
// none, by its place in the list, from 0. Credentials are items of consumers with
// an id such as jack/credentials/c1; kind is then theirs.
func ItemKey(folder string, item map[string]any, place int) (kind *Kind, key string) {
	kind = KindOf(folder)
	id := TextOf(item["id"])
	if folder == "consumers" {
		if _, _, ok := SplitCredentialID(id); ok {
			return KindOf("credentials"), Key("credentials", id)
		}
		id = text(item, "username")
	}
	if id == "" {
		id = fmt.Sprintf("arr_%d", place+1)
	}
	return kind, Key(folder, id)
}

// TextOf answers a string, or a number as it was written, and nothing for anything
// else. An id may be either.
func TextOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// ForStore makes of such an item what the store keeps under its key: with its
// id, and without what only documents have.
func ForStore(item map[string]any, key string) map[string]any {
	folder, id, _ := SplitKey(key)
	doc := without(item, "modifiedIndex")
	switch folder {
	case "consumers":
	case "credentials":
		_, own, _ := SplitCredentialID(id)
		doc["id"] = own
	default:
		if TextOf(doc["id"]) == "" {
			doc["id"] = id
		}
	}
	return doc
}

// CheckStored tells whether the value of a store key is a valid resource that can
// be served. Plugins that may not be used are passed over; so is what it refers to,
// unless w says how to find it. Keys of no resource are all right.
func CheckStored(key string, value []byte, w World) error {
	folder, id, ok := SplitKey(key)
	kind := KindOf(folder)
	if !ok || kind == nil {
		return nil
	}
	doc, err := jsonvalue.Decode(value)
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", kind.Word, id, err)
	}
	Decrypt(doc, w.Keyring)
	w.Key, w.passUnknown, w.stored = key, true, value
	return kind.Check(doc, w)
}
