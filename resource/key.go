package resource

import "strings"

// SplitKey answers the folder and the id of the resource with a store key. A
// credential, which is kept below its consumer, has the folder credentials and an
// id such as jack/credentials/c1. ok is false for keys of nothing that has an id:
// placeholders and the single keys of the store.
func SplitKey(key string) (folder, id string, ok bool) {
	rest, ok := strings.CutPrefix(key, Prefix)
	if !ok {
		return "", "", false
	}
	folder, id, _ = strings.Cut(rest, "/")
	if id == "" || strings.HasSuffix(id, "/") {
		return "", "", false
	}
	if folder == "consumers" && strings.Contains(id, "/") {
		_, _, ok = SplitCredentialID(id)
		return "credentials", id, ok
	}
	return folder, id, true
}

// Key is the store key of the resource with an id as SplitKey answers it.
func Key(folder, id string) string {
	if folder == "credentials" {
		folder = "consumers"
	}
	return Prefix + folder + "/" + id
}

// SplitCredentialID splits jack/credentials/c1 into the consumer's name and the
// credential's own id.
func SplitCredentialID(id string) (username, own string, ok bool) {
	username, own, ok = strings.Cut(id, "/credentials/")
	return username, own, ok && username != "" && own != "" && !strings.Contains(own, "/")
}
