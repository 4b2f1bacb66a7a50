package tenant

import (
	"fmt"
	"strings"
)

// Texts that operators see.
const (
	msgNoNamespace   = "there is no such namespace"
	msgExists        = "the namespace exists already"
	msgDeleting      = "the namespace is being deleted; delete it again to finish that"
	msgFixed         = "the namespace is set by functions.users of the configuration: take it out there to delete it"
	msgFixedKey      = "the key is set by functions.users of the configuration: change it there"
	msgNoKey         = "the namespace has no such key"
	msgReservedName  = "_ stands for the caller's own namespace and cannot be the name of one"
	msgUUIDTaken     = "a key with this UUID exists already"
	msgSubjectLength = "a subject has 5 to 256 characters"
	msgGrace         = "the time for which the old keys stay valid must be from 0 to 90 days"
	msgLifetime      = "the time for which a key is valid must be more than 0 and at most 10 years"
)

func msgLimitsMalformed(err error) string {
	return "the limits are malformed: " + strings.TrimPrefix(err.Error(), "json: ")
}

func msgTooManyKeys(limit int) string {
	return fmt.Sprintf("a namespace has at most %d keys; revoke one first", limit)
}

func msgNotEmpty(n int) string {
	if n == 1 {
		return "the namespace is not empty: it holds 1 entity; delete it first, or force the deletion"
	}
	return fmt.Sprintf("the namespace is not empty: it holds %d entities; delete them first, or force the deletion", n)
}
