package operator

import (
	"fmt"
	"strings"
)

// Texts that operators see beside those of package tenant.
const (
	msgWrongKey        = "the operator key is missing or wrong; send it as Authorization: Bearer KEY"
	msgTooManyFailures = "too many wrong operator keys from this address; try again in a minute"
	msgNoSuchPath      = "there is no such path or method"
	msgBodyEnded       = "the request body ended early"
	msgBodyTooLarge    = "the request body is larger than 64 KB"
	msgLimit           = "limit must be a whole number from 1 to 1000"
)

func msgMalformed(err error) string {
	return "the request body is malformed: " + strings.TrimPrefix(err.Error(), "json: ")
}

func msgDuration(name string) string {
	return fmt.Sprintf("%s must be a duration such as 90s, 15m or 24h", name)
}

func msgBoolean(name string) string { return name + " must be true or false" }
