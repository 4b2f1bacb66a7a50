// Package jsonvalue reads, writes and converts JSON whose shape is not known
// beforehand, without changing what it says: numbers stay as they are written,
// and <, > and & are not escaped.
package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Decode reads text that is one JSON value. Its numbers are json.Number.
func Decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("not valid JSON: text after the value")
	}
	return v, nil
}

// Encode writes v, a decoded value or any other that has a form in JSON.
func Encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Into turns a decoded value into what to points to. A whole number fits an
// integer however it is written: 1.0 and 1e3 too, which encoding/json refuses.
func Into(v, to any) error {
	text, err := Encode(convert(v, wholeNumber))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// Clone copies a decoded value.
func Clone(v any) any { return convert(v, func(v any) any { return v }) }

// convert copies a decoded value, with leaf's answer for each value in it that
// is neither object nor array.
func convert(v any, leaf func(any) any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = convert(member, leaf)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = convert(item, leaf)
		}
		return out
	}
	return leaf(v)
}

// wholeNumber answers a whole number without fraction and exponent, and any
// other value as it is.
func wholeNumber(v any) any {
	n, ok := v.(json.Number)
	if !ok || !strings.ContainsAny(string(n), ".eE") {
		return v
	}
	const exact = 1 << 53
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return v
	}
	return json.Number(strconv.FormatInt(int64(f), 10))
}
