// Package e2e tests the built binary from outside, with the clients of the
// originals: the command line, curl's requests and the npm package openwhisk.
// Its tests run with -args -real; make test installs what they need.
package e2e
