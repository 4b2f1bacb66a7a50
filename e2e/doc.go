// Package e2e tests the built binary from outside, with the clients of the
// originals, the command line, curl and the npm package openwhisk, and with a browser.
// Its tests run with -args -real; make test installs what they need.
package e2e
