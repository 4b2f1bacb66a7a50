package whisk

import (
	"bytes"
	"encoding/json"
	"errors"
)

// KeyValue is one parameter or annotation. Value is JSON as it was given.
type KeyValue struct {
	Key        string          `json:"key"`
	Value      json.RawMessage `json:"value"`
	Init       bool            `json:"init,omitempty"`
	Encryption string          `json:"encryption,omitempty"`
}

// KeyValues is a parameter or annotation list: keys are unique, order is kept.
type KeyValues []KeyValue

// Find answers the value of key, or nil.
func (l KeyValues) Find(key string) json.RawMessage {
	for i := range l {
		if l[i].Key == key {
			return l[i].Value
		}
	}
	return nil
}

// With answers a copy of l in which key has the given value, at its old place
// or at the end.
func (l KeyValues) With(key string, value json.RawMessage) KeyValues {
	out := make(KeyValues, 0, len(l)+1)
	found := false
	for _, kv := range l {
		if kv.Key == key {
			kv.Value, found = value, true
		}
		out = append(out, kv)
	}
	if !found {
		out = append(out, KeyValue{Key: key, Value: value})
	}
	return out
}

// Merge answers l overridden by over: members of both keep their place in l,
// the others of over follow. Neither list is changed; the answer may be one of
// them.
func (l KeyValues) Merge(over KeyValues) KeyValues {
	if len(l) == 0 {
		return over
	}
	if len(over) == 0 {
		return l
	}
	out := make(KeyValues, len(l), len(l)+len(over))
	copy(out, l)
	return out.put(over)
}

// Without answers a copy of l that lacks the given keys.
func (l KeyValues) Without(keys []string) KeyValues {
	drop := make(map[string]bool, len(keys))
	for _, k := range keys {
		drop[k] = true
	}
	out := make(KeyValues, 0, len(l))
	for _, kv := range l {
		if !drop[kv.Key] {
			out = append(out, kv)
		}
	}
	return out
}

// put sets members in l itself and answers the list that results.
func (l KeyValues) put(members KeyValues) KeyValues {
	at := make(map[string]int, len(l)+len(members))
	for i := range l {
		at[l[i].Key] = i
	}
	for _, kv := range members {
		if i, ok := at[kv.Key]; ok {
			l[i] = kv
			continue
		}
		at[kv.Key] = len(l)
		l = append(l, kv)
	}
	return l
}

// Size is what the list counts towards its limit: the bytes of its keys and
// values.
func (l KeyValues) Size() int64 {
	var n int64
	for i := range l {
		n += int64(len(l[i].Key) + len(l[i].Value))
	}
	return n
}

// ParseKeyValues reads an array of {"key":…,"value":…} in valid JSON. Of equal keys the last
// wins; a missing value is null. The error says only that the list is malformed.
func ParseKeyValues(raw json.RawMessage) (KeyValues, error) {
	list, err := items(raw, maxItems)
	if err != nil {
		return nil, err
	}
	given := make(KeyValues, 0, len(list))
	for _, item := range list {
		fields, err := object(item)
		if err != nil {
			return nil, err
		}
		kv, err := parseKeyValue(fields)
		if err != nil {
			return nil, err
		}
		given = append(given, kv)
	}
	return make(KeyValues, 0, len(given)).put(given), nil
}

func parseKeyValue(item map[string]json.RawMessage) (KeyValue, error) {
	kv := KeyValue{Value: json.RawMessage("null")}
	key, err := text(item["key"])
	if err != nil || key == "" {
		return kv, errors.New("an item has no key")
	}
	kv.Key = key
	if v, ok := item["value"]; ok {
		var compact bytes.Buffer
		if err := json.Compact(&compact, v); err != nil {
			return kv, err
		}
		kv.Value = compact.Bytes()
	}
	if v := item["init"]; !isNull(v) {
		if err := json.Unmarshal(v, &kv.Init); err != nil {
			return kv, err
		}
	}
	return kv, nil
}

// AppendJSON appends the list as clients see it; an empty one is [].
func (l KeyValues) AppendJSON(b []byte) []byte {
	b = append(b, '[')
	for i := range l {
		kv := &l[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"key":`...)
		b = AppendString(b, kv.Key)
		b = append(b, `,"value":`...)
		if len(kv.Value) == 0 {
			b = append(b, "null"...)
		} else {
			b = append(b, kv.Value...)
		}
		if kv.Init {
			b = append(b, `,"init":true`...)
		}
		if kv.Encryption != "" {
			b = append(b, `,"encryption":`...)
			b = AppendString(b, kv.Encryption)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// MarshalJSON writes an empty list as [], never as null.
func (l KeyValues) MarshalJSON() ([]byte, error) { return l.AppendJSON(nil), nil }
