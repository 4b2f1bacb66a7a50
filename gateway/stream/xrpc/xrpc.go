// Package xrpc follows what is spoken on a connection that the gateway passes on: it
// reads the bytes of both sides as they pass, and tells which calls they are and when
// they are answered, so that single calls can be delayed, logged and counted. It holds
// nothing up by itself and changes no byte.
//
// A protocol is one file, in which it enters itself in the table of protocols.
package xrpc

import (
	"encoding/json"
	"fmt"
	"time"
)

// Call is one request of a client.
type Call struct {
	// Command is its name in lower case, Line the whole of it as it is logged; both are
	// empty where a protocol has none.
	Command, Line string
	// Began is when the request had been read.
	Began time.Time
	// Delay is how long its last byte has to be held back.
	Delay time.Duration
	// Silent calls get no answer.
	Silent bool

	replies int // how many it still waits for, of Redis
}

// Conversation is what is spoken on one connection. One goroutine may call FromClient
// while another one calls FromNode, and anyone Close.
type Conversation interface {
	// FromClient takes bytes up to the end of a request at most. call is the one that
	// ends there, nil if none does. It waits while too many calls have no answer yet.
	// After an error nothing can be made of what follows.
	FromClient(b []byte) (n int, call *Call, err error)
	// FromNode takes bytes up to the end of an answer at most. call is the one that has
	// been answered, nil if none has.
	FromNode(b []byte) (n int, call *Call, err error)
	// Unanswered are the calls that are left when all is over, in their order.
	Unanswered() []*Call
	// Close ends waiting, and makes FromClient answer ErrClosed where it would have to
	// note a call: no answers will come.
	Close()
}

// Protocol begins conversations of one configuration. A route has one, for all of its
// connections.
type Protocol struct {
	name  string
	begin func() Conversation
}

// Name is as routes name it.
func (p *Protocol) Name() string { return p.name }

// Begin begins the conversation of a connection.
func (p *Protocol) Begin() Conversation { return p.begin() }

// protocols make the protocol of a configuration that has been checked; lines says that
// calls need their Line.
var protocols = map[string]func(conf json.RawMessage, lines bool) (begin func() Conversation, err error){
	"redis": compileRedis,
	"dubbo": compileDubbo,
}

// Has tells whether a protocol is understood.
func Has(name string) bool { return protocols[name] != nil }

// Compile makes a protocol ready for which Has holds. conf is the route's, or nothing;
// lines says that the Line of calls is wanted.
func Compile(name string, conf json.RawMessage, lines bool) (*Protocol, error) {
	begin, err := protocols[name](conf, lines)
	if err != nil {
		return nil, fmt.Errorf("protocol %s: %w", name, err)
	}
	return &Protocol{name, begin}, nil
}
