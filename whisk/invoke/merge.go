package invoke

import (
	"bytes"
	"encoding/json"

	"millrace/whisk"
)

// params are the stored parameters of an action as it was reached, encoded
// once: inherited ones (package, then binding) overridden by the action's own.
type params struct {
	inherited, own whisk.KeyValues // what it was made of

	object  []byte         // all members as a JSON object
	members [][]byte       // each as "key":value
	index   map[string]int // key → place in members
	env     []envVar       // init parameters, as text
}

type envVar struct{ name, text string }

// encodeParams merges and encodes stored parameters.
func encodeParams(inherited, own whisk.KeyValues) *params {
	p := &params{inherited: inherited, own: own, index: map[string]int{}}
	p.object = append(p.object, '{')
	for _, kv := range inherited.Merge(own) {
		if kv.Init {
			p.env = append(p.env, envVar{kv.Key, envText(kv.Value)})
			continue
		}
		member := appendMember(nil, kv)
		if len(p.members) > 0 {
			p.object = append(p.object, ',')
		}
		p.object = append(p.object, member...)
		p.index[kv.Key] = len(p.members)
		p.members = append(p.members, member)
	}
	p.object = append(p.object, '}')
	return p
}

func appendMember(dst []byte, kv whisk.KeyValue) []byte {
	dst = whisk.AppendString(dst, kv.Key)
	dst = append(dst, ':')
	if len(kv.Value) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, kv.Value...)
}

// envText is how a parameter's value looks in the environment.
func envText(value json.RawMessage) string {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || string(value) == "null" {
		return ""
	}
	if value[0] == '"' {
		return unquote(value)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return string(value)
	}
	return compact.String()
}

// madeOf tells whether p is what encodeParams would answer for these lists. The
// usual case, the very same lists, costs two comparisons.
func (p *params) madeOf(inherited, own whisk.KeyValues) bool {
	return sameList(p.inherited, inherited) && sameList(p.own, own)
}

func sameList(a, b whisk.KeyValues) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 || &a[0] == &b[0] {
		return true
	}
	for i := range a {
		if a[i].Key != b[i].Key || a[i].Init != b[i].Init || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

// under answers the arguments of a call: the stored parameters overridden by
// the payload's members. An array payload is passed as it is. The answer may
// share memory with p and payload.
func (p *params) under(payload json.RawMessage) json.RawMessage {
	payload = bytes.TrimSpace(payload)
	switch {
	case len(payload) == 0:
		return p.object
	case payload[0] != '{' || len(p.members) == 0:
		return payload
	}
	inner := bytes.TrimSpace(payload[1 : len(payload)-1])
	if len(inner) == 0 {
		return p.object
	}
	overridden := p.overriddenBy(payload)
	out := make([]byte, 0, len(p.object)+len(inner)+2)
	out = append(out, '{')
	for i, member := range p.members {
		if overridden == nil || !overridden[i] {
			out = append(out, member...)
			out = append(out, ',')
		}
	}
	out = append(out, inner...)
	return append(out, '}')
}

// overriddenBy marks the members that payload names; nil if there is none.
func (p *params) overriddenBy(payload []byte) []bool {
	var marks []bool
	for m := (members{rest: payload}); m.next(); {
		var i int
		var ok bool
		if plainKey(m.key) {
			i, ok = p.index[string(m.key[1:len(m.key)-1])]
		} else {
			i, ok = p.index[unquote(m.key)]
		}
		if ok && marks == nil {
			marks = make([]bool, len(p.members))
		}
		if ok {
			marks[i] = true
		}
	}
	return marks
}
