package feed

import "fmt"

// Texts that clients see in answers of feeds. Those of OpenWhisk's alarms are
// exact.
const (
	msgNoTriggerName         = "no trigger name parameter was provided"
	msgTriggerAuthentication = "Trigger authentication request failed."
	msgUnsupportedEvent      = "unsupported lifecycleEvent"
	msgNothingToUpdate       = "no updatable parameters were specified"

	msgCronMissing       = "alarms trigger feed is missing the cron parameter"
	msgCronTooFine       = "cron pattern is limited to 5 fields with 1 minute as the finest granularity"
	msgTimezone          = "Invalid timezone."
	msgMinutesMissing    = "interval trigger feed is missing the minutes parameter"
	msgMinutesNoInteger  = "the minutes parameter must be an integer"
	msgMinutesNoPositive = "the minutes parameter must be an integer greater than zero"
	msgDateMissing       = "alarms once trigger feed is missing the date parameter"
	msgDeleteAfterFire   = "deleteAfterFire parameter must be one of [false, true, rules]."
	msgFirstAfterStop    = "the first scheduled trigger fire is not until after the stop date"
	msgStopAndMaximum    = "maxTriggers is not allowed when the stopDate parameter is specified"
	// OpenWhisk has no counterparts to these.
	msgMaximumNoPositive = "the maxTriggers parameter must be an integer greater than zero"
	msgStrict            = "the strict parameter must be true or false"

	msgSecretLength = "the secret parameter must have 16 to 256 characters"
	msgSignature    = "The request is not signed with the secret of this address, or not in time."
	msgMethod       = "HTTP method not allowed, supported methods: GET, POST"

	// Reasons for which a subscription is off.
	msgPaused         = "Paused"
	msgTriggerGone    = "Automatically disabled because the trigger was deleted"
	msgReachedStop    = "Automatically disabled after reaching the stop date"
	msgReachedMaximum = "Automatically disabled after reaching max triggers"
	msgNoMore         = "Automatically disabled because the schedule has no further date"
	msgNotFired       = "Automatically disabled because the trigger could not be fired"
	msgFiredOnce      = "Automatically disabled after firing once"
)

func msgUnknownSubscription(trigger string) string {
	return "could not find trigger " + trigger + " in the database"
}

func msgOtherFeed(trigger, feed string) string {
	return "trigger " + trigger + " is subscribed to " + feed
}

func msgFireRefused(status int) string {
	return fmt.Sprintf("Automatically disabled after receiving a %d status code when firing the trigger", status)
}

func msgCronInvalid(pattern string) string { return "cron pattern '" + pattern + "' is not valid" }

func msgSeconds(parameter string, low, high int) string {
	return fmt.Sprintf("the %s parameter must be an integer of seconds from %d to %d", parameter, low, high)
}

func msgNoDate(parameter, given string) string {
	return parameter + " parameter '" + given + "' is not a valid Date"
}

func msgPastDate(parameter, given string) string {
	return parameter + " parameter '" + given + "' must be in the future"
}

func msgStopBeforeStart(stop, start string) string {
	return "stopDate parameter '" + stop + "' must be greater than the startDate parameter '" + start + "'"
}
