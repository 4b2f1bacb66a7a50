// Package http2 is the server's side of HTTP/2: it reads the frames of a client's
// connection, hands each request as a Stream to a worker, and sends the answers.
//
// It is strict, since what passes is sent on to servers that speak HTTP/1.1, and it
// bounds whatever a client can make large: streams, headers, bodies that nobody
// reads, answers that nobody takes, and the frames that cost the server more than the
// client (see budget). Header compression on the way back uses no dynamic table, so that
// answers need no order among each other.
package http2

import (
	"fmt"
	"time"
)

// Preface is what a client begins with.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Config is what connections have in common. All of it must be set.
type Config struct {
	// MaxStreams is how many requests a connection has at once.
	MaxStreams int
	// MaxHeader bounds the headers of a request, in bytes as they are sent. One that
	// has more is read to its end and marked; from twice as much on the connection ends.
	MaxHeader int
	// StreamWindow and ConnWindow are how many bytes of bodies a client may send
	// before they are read: of one request, and of all of a connection.
	StreamWindow, ConnWindow int
	// Idle is how long a connection may have no request, First how long it may take
	// to begin its first, Stalled how long a client may read nothing that it was sent.
	Idle, First, Stalled time.Duration
	// LastCall is how long a client may still begin requests after Shutdown.
	LastCall time.Duration
}

// Worker serves one stream at a time. Serve is called in a goroutine of the worker's own,
// the other methods in others.
type Worker interface {
	// Serve answers the request of s, which must not be used any more when it
	// returns. An answer that it has not ended is reset.
	Serve(s *Stream)
	// Gone says that the client has given up the stream with that id.
	Gone(id uint32)
	// Check is called now and then while Serve runs.
	Check(nowMS int64)
}

// errorCode is one of RFC 9113, section 7.
type errorCode uint32

const (
	codeNo              errorCode = 0
	codeProtocol        errorCode = 1
	codeInternal        errorCode = 2
	codeFlowControl     errorCode = 3
	codeStreamClosed    errorCode = 5
	codeFrameSize       errorCode = 6
	codeRefusedStream   errorCode = 7
	codeCompression     errorCode = 9
	codeEnhanceYourCalm errorCode = 11
)

// connError ends the connection.
type connError struct {
	code errorCode
	why  string
}

func (e connError) Error() string { return fmt.Sprintf("http2: error %d: %s", e.code, e.why) }

// streamError ends a stream.
type streamError struct {
	id   uint32
	code errorCode
}

func (e streamError) Error() string { return fmt.Sprintf("http2: stream %d: error %d", e.id, e.code) }
