package document

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"millrace/whisk"
)

// Variables answer the value of a name, in JSON, and whether there is one.
type Variables func(name string) (json.RawMessage, bool)

// Raw is a scalar as it stands in the file, without variables replaced.
func (v Value) Raw() string {
	if v.Missing() {
		return ""
	}
	if !v.IsScalar() {
		v.Fail("a text is expected here")
		return ""
	}
	return v.resolved().Value
}

// Text is a scalar with variables replaced.
func (v Value) Text() string {
	raw := v.Raw()
	if v.vars == nil || !strings.Contains(raw, "$") {
		return raw
	}
	return plain(v.expand(raw))
}

// Bool is a yes or no: true, false, yes, no, as words or texts.
func (v Value) Bool() bool {
	if v.Missing() {
		return false
	}
	switch text := strings.ToLower(v.Text()); text {
	case "true", "yes", "on":
		return true
	case "false", "no", "off":
	default:
		v.Fail("%q is neither true nor false", text)
	}
	return false
}

// Int is a whole number; nil if there is none.
func (v Value) Int() *int {
	if v.Missing() {
		return nil
	}
	text := v.Text()
	n, err := strconv.Atoi(text)
	if err != nil {
		v.Fail("%q is no whole number", text)
		return nil
	}
	return &n
}

// JSON is the value as JSON, variables in its texts replaced; null if it is missing.
func (v Value) JSON() json.RawMessage { return v.appendJSON(nil) }

func (v Value) appendJSON(b []byte) []byte {
	if v.Missing() || !v.count() {
		return append(b, "null"...)
	}
	switch {
	case v.IsMap():
		b = append(b, '{')
		for i, m := range v.Members() {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(whisk.AppendString(b, m.Key), ':')
			b = m.Value.appendJSON(b)
		}
		return append(b, '}')
	case v.IsList():
		b = append(b, '[')
		for i, item := range v.Items() {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	}
	return append(b, v.scalar()...)
}

// scalar is a scalar in the type that YAML gives it.
func (v Value) scalar() json.RawMessage {
	n := v.resolved()
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool":
		return v.number(n)
	}
	if v.vars != nil && strings.Contains(n.Value, "$") {
		return v.expand(n.Value)
	}
	return Quote(n.Value)
}

func (v Value) number(n *yaml.Node) json.RawMessage {
	if json.Valid([]byte(n.Value)) {
		return json.RawMessage(n.Value) // as it stands: a large number keeps its digits
	}
	var value any
	if err := n.Decode(&value); err != nil {
		v.Fail("%q is no number", n.Value)
		return json.RawMessage("null")
	}
	if f, ok := value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		v.Fail("%s cannot be told in JSON", n.Value)
		return json.RawMessage("null")
	}
	text, err := json.Marshal(value)
	if err != nil {
		v.Fail("%q: %s", n.Value, err)
		return json.RawMessage("null")
	}
	return text
}

// variable matches $$, $NAME and ${NAME}.
var variable = regexp.MustCompile(`\$\$|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_.-]*)\}`)

// expand replaces the variables of a text. A text that is nothing but a variable
// takes its value with its type. $$ stands for a dollar.
func (v Value) expand(text string) json.RawMessage {
	at := variable.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 1 && at[0][0] == 0 && at[0][1] == len(text) && text != "$$" {
		return v.lookup(nameOf(text, at[0]))
	}
	var b bytes.Buffer
	end := 0
	for _, m := range at {
		b.WriteString(text[end:m[0]])
		if text[m[0]:m[1]] == "$$" {
			b.WriteByte('$')
		} else {
			b.WriteString(plain(v.lookup(nameOf(text, m))))
		}
		end = m[1]
	}
	b.WriteString(text[end:])
	return Quote(b.String())
}

func nameOf(text string, match []int) string {
	if match[2] >= 0 {
		return text[match[2]:match[3]]
	}
	return text[match[4]:match[5]]
}

func (v Value) lookup(name string) json.RawMessage {
	value, ok := v.vars(name)
	if !ok {
		v.Warn("the variable %s is not set, and taken as empty", name)
		return json.RawMessage(`""`)
	}
	return value
}

// Quote is a text in JSON.
func Quote(s string) json.RawMessage { return whisk.AppendString(nil, s) }

// plain is a JSON string without its quotes, and anything else as it is.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// KeyValues are the members of a mapping as parameters or annotations.
func (v Value) KeyValues() whisk.KeyValues {
	var out whisk.KeyValues
	for _, m := range v.Members() {
		out = append(out, whisk.KeyValue{Key: m.Key, Value: m.Value.JSON()})
	}
	return out
}
