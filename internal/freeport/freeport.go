// Package freeport finds ports for the tests of servers that cannot be told to
// listen on port 0 and say which one they got: programs beside ours, and our own
// binary when its addresses stand in a configuration file.
package freeport

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// The ports lie below those that kernels give to clients and to port 0 (32768 up
// on Linux), so that no connection takes one between its choice and its use. Each
// process begins at a place of its own: test packages run side by side.
const (
	first  = 10000
	places = 1300
	block  = 16
)

var taken atomic.Int64

// Take answers a port of 127.0.0.1 where nobody listens. This process does not
// get it again, so that it stays free for a server that is started later, or
// closed, if none is.
func Take(t testing.TB) int {
	t.Helper()
	start := os.Getpid() % places * block
	for range places * block {
		port := first + (start+int(taken.Add(1)-1))%(places*block)
		l, err := net.Listen("tcp", address(port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// Address answers host and port of a Take.
func Address(t testing.TB) string {
	t.Helper()
	return address(Take(t))
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
