package admin

import "fmt"

// The texts of the Admin API that clients can see, apart from those of the
// validator and of package resource. Two spaces and other oddities are APISIX's.
const (
	msgCheckToken          = "failed to check token"
	msgMissingKey          = "missing apikey"
	msgWrongKey            = "wrong apikey"
	msgViewer              = "invalid method for role viewer"
	msgNotFound            = "not found"
	msgStreamDisabled      = "stream mode is disabled, can not add stream routes"
	msgUnsupportedResource = "Unsupported resource type: "
	msgInvalidBody         = "invalid request body: "
	msgBadTTL              = "invalid argument ttl: should be a number"
	msgMissingConf         = "missing configurations"
	msgMissingNewConf      = "missing new configuration"
	msgInvalidConf         = "invalid configuration"
	msgForbiddenProperty   = "the property is forbidden:  "
	msgInvalidSubPath      = "invalid sub-path: /"
	msgValueChanged        = "value changed before overwritten"
	msgKeyNotFound         = "Key not found"
	msgPageSize            = "page_size must be between 10 and 500"
	msgValidation          = "Configuration validation failed"
	msgStore               = "failed to reach the store of the configuration"
	msgNoEtcd              = "has no healthy etcd endpoint available"
	msgTooLarge            = "etcdserver: request is too large"
	msgPluginName          = "not found plugin name"
	msgInvalidSubsystem    = "invalid subsystem passed"
	msgPluginNotFound      = "plugin not found in subsystem "
	msgUnsupportedSystem   = "unsupported subsystem: "
	msgSchemaNotFound      = "not found schema: "
	msgNoConsumer          = "consumer not found"
	msgNoPluginName        = "missing plugin name"
	msgReloaded            = "done"
	msgMissingDigest       = "missing digest header"
	msgInvalidYAML         = "invalid yaml request body"
	msgEmptyBody           = "empty request body"
	msgNoSecretID          = "no secret id"
	msgWellKnownKey        = "the well-known admin key is in force, so only requests to a loopback Host and from a loopback Origin are served: " +
		"set deployment.admin.admin_key to a key of your own to serve others"
	msgNoKey = "no admin key is required, so clients on this machine are served with a loopback Host and from a loopback Origin only: " +
		"set deployment.admin.admin_key_required to serve others"
)

func tooLarge(size, most int64) string {
	return fmt.Sprintf("%srequest size %d is greater than the maximum size %d allowed", msgInvalidBody, size, most)
}

func missingID(word string) string   { return "missing " + word + " id" }
func wrongID(word string) string     { return "wrong " + word + " id" }
func idNotNeeded(word string) string { return wrongID(word) + ", do not need it" }

func unsupportedMethod(method, word string) string {
	return fmt.Sprintf("not supported `%s` method for %s", method, word)
}

func notFound(what, id string) string    { return what + "[" + id + "] not found" }
func badSource(kind string) string       { return "invalid src type " + kind }
func missingSource(kind string) string   { return "missing src id for src type " + kind }
func noChecker(folder, id string) string { return "no checker for " + folder + "[" + id + "]" }

func usePUT(method string) string {
	return "please use PUT method to reload the plugins, " + method + " method is not allowed."
}

func notReloaded(err error) string { return "reading which plugins may be used: " + err.Error() }

func notAList(folder string) string {
	return "invalid configuration: " + folder + " must be an array"
}

func notANumber(version string) string { return version + " must be a number" }

func olderVersion(version, current string) string {
	return fmt.Sprintf("%s must be greater than or equal to (%s)", version, current)
}

func duplicate(what, id, folder string) string {
	return fmt.Sprintf("found duplicate %s %s in %s", what, id, folder)
}

// stillUsed is the text of a guard: what is to be deleted, by its word, and who
// uses it.
func stillUsed(word string, u *user) string {
	by := fmt.Sprintf("%s [%s]", u.word, u.id)
	switch {
	case word == "stream route":
		return fmt.Sprintf("can not delete this stream route directly, %s is still using it as superior_id", by)
	case word == "service":
		word = "service directly"
	case word != "proto" && u.byPlugin:
		by = "plugin in " + by
	}
	return fmt.Sprintf("can not delete this %s, %s is still using it now", word, by)
}
