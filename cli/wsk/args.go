package wsk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// pairSeparator stands between key and value of a joined pair. An argument of a
// process cannot hold it.
const pairSeparator = "\x00"

// JoinPairs makes one argument of the two that --param KEY VALUE and
// --annotation KEY VALUE take, so that flag parsers, which know flags with one
// value only, can read them. Everything else stays as it is.
func JoinPairs(args []string) ([]string, error) {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--":
			return append(out, args[i:]...), nil
		case "-p", "--param", "-a", "--annotation":
			if i+2 >= len(args) {
				return nil, usageError("Arguments for '%s' must be a key/value pair", args[i])
			}
			out = append(out, args[i], args[i+1]+pairSeparator+args[i+2])
			i += 2
		default:
			out = append(out, args[i])
		}
	}
	return out, nil
}

// keyValues gathers parameters or annotations in the order they were given; a
// key given again keeps its place and takes the new value.
type keyValues []keyValue

type keyValue struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	Init  bool            `json:"init,omitempty"`
}

func (l *keyValues) set(key string, value json.RawMessage) {
	for i := range *l {
		if (*l)[i].Key == key {
			(*l)[i].Value = value
			return
		}
	}
	*l = append(*l, keyValue{Key: key, Value: value})
}

// value answers the value of a key, nil if there is none.
func (l keyValues) value(key string) json.RawMessage {
	for _, kv := range l {
		if kv.Key == key {
			return kv.Value
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

// pairFlag reads a joined pair, fileFlag a JSON object from a file.
type (
	pairFlag struct{ to *keyValues }
	fileFlag struct{ to *keyValues }
)

func (f pairFlag) String() string { return "" }
func (f pairFlag) Type() string   { return "KEY VALUE" }
func (f pairFlag) Set(joined string) error {
	key, text, ok := strings.Cut(joined, pairSeparator)
	if !ok {
		return usageError("must be a key/value pair")
	}
	f.to.set(key, jsonOrText(text))
	return nil
}

func (f fileFlag) String() string { return "" }
func (f fileFlag) Type() string   { return "FILE" }
func (f fileFlag) Set(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usageError("Unable to read the file '%s': %s", path, err)
	}
	if err := f.to.addObject(text); err != nil {
		return usageError("Unable to use the file '%s': %s", path, err)
	}
	return nil
}

// addObject sets the members of a JSON object in their order.
func (l *keyValues) addObject(text []byte) error {
	var all json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(all))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it does not hold a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		l.set(key.(string), value)
	}
	return nil
}

// jsonOrText takes valid JSON as it is and anything else as a string.
func jsonOrText(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return encode(text)
}

// encode is JSON without the escapes that only HTML needs.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only values of our own types come here
	}
	return bytes.TrimSpace(b.Bytes())
}

func joined(args []string) string { return strings.Join(args, ", ") }
