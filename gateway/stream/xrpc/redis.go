package xrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"millrace/internal/resp"
)

const (
	// loggedValue is how much of a value is logged, as in APISIX.
	loggedValue = 128
	// keptArgument is how much of an argument is looked at: keys longer than this are
	// logged in part.
	keptArgument = 1 << 10
	// maxCommandLine bounds what is logged of a command.
	maxCommandLine = 8 << 10
	// maxName bounds the name of a command.
	maxName = 64
)

// redisConf is what a route says of Redis.
type redisConf struct {
	Faults []struct {
		Commands []string `json:"commands"`
		Key      *string  `json:"key"`
		Delay    float64  `json:"delay"` // seconds
	} `json:"faults"`
}

// faults are the delays of commands by their names in lower case.
type faults map[string]*commandFaults

// commandFaults are the delays of one command: by keys, and for all others.
type commandFaults struct {
	keys map[string]time.Duration
	any  time.Duration
}

// compileRedis makes the conversations of a route. Of faults of the same command and key
// the last one counts.
func compileRedis(raw json.RawMessage, lines bool) (func() Conversation, error) {
	var conf redisConf
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &conf); err != nil {
			return nil, err
		}
	}
	all, keep := faults{}, keptArgument
	for _, fault := range conf.Faults {
		delay := time.Duration(fault.Delay * float64(time.Second))
		for _, name := range fault.Commands {
			name = strings.ToLower(name)
			if all[name] == nil {
				all[name] = &commandFaults{keys: map[string]time.Duration{}}
			}
			if fault.Key == nil {
				all[name].any = delay
				continue
			}
			all[name].keys[*fault.Key] = delay
			keep = max(keep, len(*fault.Key)+1)
		}
	}
	return func() Conversation {
		r := &redis{calls: newCalls(), faults: all, lines: lines}
		r.commands.Keep, r.commands.Visit = keep, r.visit
		return r
	}, nil
}

// redis is a conversation in which answers come in the order of the commands, but for
// messages that a client has subscribed to.
type redis struct {
	*calls
	faults faults
	lines  bool

	// The client's side: the command that is being read.
	commands resp.Commands
	command  string
	line     []byte
	fault    *commandFaults // nil: none, or its key has been found
	isKey    keyFinder
	delay    time.Duration
	args     int
	client   clientReply
	made     uint64 // how many commands got an id

	// The node's side.
	replies  resp.Replies
	answered uint64
	// subscribed: arrays may be messages, as is so in version 2 of RESP.
	subscribed bool
}

// FromClient implements Conversation.
func (r *redis) FromClient(b []byte) (n int, call *Call, err error) {
	n, done, err := r.commands.Scan(b)
	if err != nil {
		return n, nil, fmt.Errorf("reading a command: %w", err)
	}
	if !done {
		return n, nil, nil
	}
	call = &Call{Command: r.command, Line: string(r.line), Began: time.Now(), Delay: r.delay}
	if call.Silent = r.client.silences(); !call.Silent {
		call.replies = r.expected()
		err = r.add(r.made, call)
		r.made++
	}
	return n, call, err
}

// visit notes an argument of the command that is being read.
func (r *redis) visit(a resp.Argument) {
	if r.args = a.Total; a.Index == 0 {
		r.begin(a)
		return
	}
	key := r.fault != nil && r.isKey(a.Index, a.Total)
	if key {
		if delay, ok := r.fault.keys[string(a.Text)]; ok && int64(len(a.Text)) == a.Size {
			r.delay, r.fault = delay, nil
		}
	}
	if r.command == "client" {
		r.client.visit(a)
	}
	r.log(a, key)
}

// begin notes the name of a command.
func (r *redis) begin(a resp.Argument) {
	r.command = strings.ToLower(string(a.Text[:min(len(a.Text), maxName)]))
	r.line, r.delay, r.client.next = r.line[:0], 0, replyAsBefore
	r.log(resp.Argument{Text: []byte(r.command), Size: int64(len(r.command))}, false)
	if r.fault = r.faults[r.command]; r.fault != nil {
		r.delay, r.isKey = r.fault.any, keyFinderOf(r.command)
	}
}

// secretsFrom is which arguments may be passwords, from that one on.
var secretsFrom = map[string]int{"auth": 1, "hello": 2, "acl": 2, "config": 3, "sentinel": 3, "migrate": 6}

// log appends an argument to the line that is logged, cut short unless it is a key that
// was looked for.
func (r *redis) log(a resp.Argument, key bool) {
	if !r.lines || len(r.line) > maxCommandLine {
		return
	}
	if len(r.line) > 0 {
		r.line = append(r.line, ' ')
	}
	if from := secretsFrom[r.command]; from > 0 && a.Index >= from {
		r.line = append(r.line, "***"...)
		return
	}
	text := a.Text
	if !key {
		text = text[:min(len(text), loggedValue)]
	}
	r.line = append(r.line, text...)
	if int64(len(text)) < a.Size {
		r.line = fmt.Appendf(r.line, "...(%d bytes)", a.Size)
	}
}

// expected is how many replies the command that was read gets.
func (r *redis) expected() int {
	if isSubscription(r.command) {
		return max(r.args-1, 1) // one for each channel; without any, one at least
	}
	return 1
}

// replyAsBefore and the like are what CLIENT REPLY says.
const (
	replyAsBefore = ""
	replyOn       = "on"
	replyOff      = "off"
	replySkip     = "skip"
)

// clientReply follows CLIENT REPLY, by which clients ask for silence.
type clientReply struct {
	off, skip bool
	reply     bool   // the second word is REPLY
	next      string // what the command that is being read says
}

// visit notes an argument of the command CLIENT.
func (c *clientReply) visit(a resp.Argument) {
	switch {
	case a.Index == 1:
		c.reply = a.Total == 3 && bytes.EqualFold(a.Text, []byte("reply"))
	case a.Index == 2 && c.reply:
		c.next = strings.ToLower(string(a.Text))
	}
}

// silences tells whether the command that was read gets no reply.
func (c *clientReply) silences() bool {
	silent := c.off || c.skip
	c.skip = false
	switch c.next {
	case replyOn:
		c.off, silent = false, false
	case replyOff:
		c.off, silent = true, true
	case replySkip:
		c.skip, silent = !c.off, true
	}
	return silent
}

// FromNode implements Conversation.
func (r *redis) FromNode(b []byte) (n int, call *Call, err error) {
	n, done, err := r.replies.Scan(b)
	if err != nil {
		return n, nil, fmt.Errorf("reading a reply: %w", err)
	}
	if !done {
		return n, nil, nil
	}
	return n, r.match(&r.replies.Reply), nil
}

// match answers the call that a reply ends; nil if it is one that nobody has asked for,
// or not the last one of its call.
func (r *redis) match(reply *resp.Reply) *Call {
	call := r.find(r.answered)
	pushed := reply.Type == '>' || r.subscribed && reply.Type == '*'
	asked := call != nil && isSubscription(call.Command)
	switch kind := string(reply.Kind); {
	case (pushed || asked && reply.Type == '*') && isSubscription(kind):
		r.subscribed = reply.Type == '*' && (reply.Last > 0 || !strings.Contains(kind, "unsub"))
		if !asked || call.Command != kind {
			return nil
		}
		if call.replies--; call.replies > 0 {
			return nil
		}
	case reply.Type == '>', pushed && strings.HasSuffix(kind, "message"):
		return nil
	case call != nil && call.Command == "reset":
		r.subscribed = false
	}
	if call != nil {
		r.take(r.answered)
		r.answered++
	}
	return call
}

// isSubscription tells whether a command, or the reply to it, is one that has as many
// replies as channels.
func isSubscription(name string) bool {
	switch name {
	case "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe":
		return true
	}
	return false
}
