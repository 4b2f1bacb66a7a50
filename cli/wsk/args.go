package wsk

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"millrace/internal/jsonvalue"
)

// pairSeparator stands between key and value of a joined pair. An argument of a
// process cannot hold it.
const pairSeparator = "\x00"

// JoinPairs makes one argument of the two that --param KEY VALUE and its like
// take, so that flag parsers, which know flags with one value only, can read
// them. Everything else stays as it is.
func JoinPairs(args []string) ([]string, error) {
	if isProject(args) {
		return JoinProjectPairs(args)
	}
	return joinPairs(args, wskPairs)
}

// pairing says what a flag is followed by.
type pairing int

const (
	alone pairing = iota // nothing that has to be looked at here
	pair                 // KEY VALUE
	file                 // a name, which may look like a flag
)

func wskPairs(flag string) pairing {
	switch flag {
	case "-p", "--param", "-a", "--annotation", "-F", "--feed-param", "-T", "--trigger-param":
		return pair
	case "-P", "--param-file", "-A", "--annotation-file":
		return file
	}
	return alone
}

func joinPairs(args []string, of func(flag string) pairing) ([]string, error) {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...), nil
		}
		switch of(args[i]) {
		case pair:
			if i+2 >= len(args) {
				return nil, usageError("Arguments for '%s' must be a key/value pair", args[i])
			}
			out = append(out, args[i], args[i+1]+pairSeparator+args[i+2])
			i += 2
		case file:
			if i+1 >= len(args) {
				return nil, usageError("An argument must be provided for '%s'", args[i])
			}
			out = append(out, args[i], args[i+1])
			i++
		case alone:
			out = append(out, args[i])
		}
	}
	return out, nil
}

// keyValues gathers parameters or annotations in the order they were given; a
// key given again keeps its place and takes the new value.
type keyValues []keyValue

type keyValue struct {
	Key   string   `json:"key"`
	Value document `json:"value"`
	Init  bool     `json:"init,omitempty"`
}

func (l *keyValues) set(key string, value json.RawMessage) {
	for i := range *l {
		if (*l)[i].Key == key {
			(*l)[i].Value = document(value)
			return
		}
	}
	*l = append(*l, keyValue{Key: key, Value: document(value)})
}

// with answers the list with the values of another one set.
func (l keyValues) with(other keyValues) keyValues {
	all := slices.Clone(l)
	for _, kv := range other {
		all.set(kv.Key, json.RawMessage(kv.Value))
	}
	return all
}

// value answers the value of a key, nil if there is none.
func (l keyValues) value(key string) json.RawMessage {
	for _, kv := range l {
		if kv.Key == key {
			return json.RawMessage(kv.Value)
		}
	}
	return nil
}

// truthy tells whether a key has a value other than false.
func (l keyValues) truthy(key string) bool {
	v := l.value(key)
	return v != nil && string(v) != "false" && string(v) != "null"
}

// object is the list as a JSON object.
func (l keyValues) object() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, kv := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(kv.Key))
		b.WriteByte(':')
		b.Write(kv.Value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode writes one of our own values, none of which has no form in JSON.
func encode(v any) json.RawMessage {
	text, err := jsonvalue.Encode(v)
	if err != nil {
		panic(err)
	}
	return text
}

func joined(args []string) string { return strings.Join(args, ", ") }
