package xrpc

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// A message of Dubbo is a head of 16 bytes and a body: magic number, flags, status,
// the request's id, the body's length.
const (
	dubboHead    = 16
	dubboMagic   = 0xdabb
	dubboRequest = 0x80 // a flag: not an answer
	dubboTwoWay  = 0x40 // a flag: it wants an answer
)

func compileDubbo(json.RawMessage, bool) (func() Conversation, error) {
	return func() Conversation { return &dubbo{calls: newCalls()} }, nil
}

// dubbo is a conversation in which requests have ids. Either side may make them, such
// as heartbeats; those of nodes are no calls.
type dubbo struct {
	*calls
	client, node dubboMessages
}

// dubboMessages reads the messages of one side.
type dubboMessages struct {
	head  [dubboHead]byte
	have  int   // of head
	left  int64 // of the body
	flags byte
	id    uint64
}

// scan takes bytes up to the end of a message; done says that it was reached.
func (m *dubboMessages) scan(b []byte) (n int, done bool, err error) {
	if m.have < dubboHead {
		n = copy(m.head[m.have:], b)
		if m.have += n; m.have < dubboHead {
			return n, false, nil
		}
		if magic := binary.BigEndian.Uint16(m.head[:]); magic != dubboMagic {
			return n, false, fmt.Errorf("a message begins with %04x, which is not Dubbo", magic)
		}
		m.flags, m.id, m.left = m.head[2], binary.BigEndian.Uint64(m.head[4:]), int64(binary.BigEndian.Uint32(m.head[12:]))
	}
	body := min(int64(len(b)-n), m.left)
	if m.left -= body; m.left == 0 {
		m.have, done = 0, true
	}
	return n + int(body), done, nil
}

// FromClient implements Conversation.
func (d *dubbo) FromClient(b []byte) (n int, call *Call, err error) {
	n, done, err := d.client.scan(b)
	if !done || d.client.flags&dubboRequest == 0 {
		return n, nil, err
	}
	call = &Call{Began: time.Now(), Silent: d.client.flags&dubboTwoWay == 0}
	if !call.Silent {
		err = d.add(d.client.id, call)
	}
	return n, call, err
}

// FromNode implements Conversation.
func (d *dubbo) FromNode(b []byte) (n int, call *Call, err error) {
	n, done, err := d.node.scan(b)
	if done && d.node.flags&dubboRequest == 0 {
		call = d.take(d.node.id)
	}
	return n, call, err
}
