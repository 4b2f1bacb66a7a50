package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"millrace/activation"
	"millrace/whisk"

	"github.com/google/go-cmp/cmp"
)

// fill sets every field of v to something, so that a field that the encoding
// does not know of is missed.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", r.Uint32()))
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64() - r.Int64())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(r.Uint64N(256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), r)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // what is not stored
				fill(v.Field(i), r)
			}
		}
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func TestRecordCodec(t *testing.T) {
	full := &whisk.Activation{}
	fill(reflect.ValueOf(full).Elem(), rand.New(rand.NewPCG(1, 2)))
	size := -1
	for _, rec := range []*whisk.Activation{
		full,
		{},
		{Logs: []string{}, Annotations: whisk.KeyValues{}, Response: whisk.Response{Result: json.RawMessage{}, Size: &size}},
		{Response: whisk.Response{Result: make([]byte, 1<<16)}},
	} {
		b := encodeRecord(nil, rec)
		got, err := decodeRecord(b)
		if err != nil {
			t.Errorf("decoding: %v", err)
			continue
		}
		if !reflect.DeepEqual(got, rec) {
			t.Errorf("a record comes back otherwise (-want +got):\n%s", cmp.Diff(rec, got))
		}
		for n := range min(len(b), 1000) {
			if _, err := decodeRecord(b[:n]); err == nil {
				t.Errorf("the first %d of %d bytes are no error", n, len(b))
			}
		}
	}
}

// Records written before they had a duration are read as if they had.
func TestRecordWithoutDuration(t *testing.T) {
	for _, rec := range []*whisk.Activation{
		{Namespace: "guest", Name: "hello", ID: "id", Start: 1000, End: 1012, Duration: 12},
		{Namespace: "guest", Name: "trigger", ID: "id", Start: 1000},
	} {
		b := encodeRecord(nil, rec)
		duration := binary.AppendVarint(binary.AppendVarint(nil, rec.End), rec.Duration)
		end := binary.AppendVarint(nil, rec.End)
		old := bytes.Replace(b, duration, end, 1)
		old[0] = durationMissing
		if got, err := decodeRecord(old); err != nil || !reflect.DeepEqual(got, rec) {
			t.Errorf("%+v comes back as %+v, %v", rec, got, err)
		}
	}
}

func TestCallCodec(t *testing.T) {
	full := activation.Accepted{}
	fill(reflect.ValueOf(&full).Elem(), rand.New(rand.NewPCG(1, 2)))
	full.Started = false // has a key of its own
	for _, call := range []activation.Accepted{full, {}} {
		got, err := decodeCall(encodeCall(&call))
		if err != nil || !reflect.DeepEqual(got, call) {
			t.Errorf("%+v comes back as %+v, %v", call, got, err)
		}
	}
}

// FuzzDecodeRecord: damaged bytes are an error, never a panic, and what can be
// read is written the same way again.
func FuzzDecodeRecord(f *testing.F) {
	full := &whisk.Activation{}
	fill(reflect.ValueOf(full).Elem(), rand.New(rand.NewPCG(1, 2)))
	f.Add(encodeRecord(nil, full))
	f.Add(encodeRecord(nil, &whisk.Activation{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := decodeRecord(encodeRecord(nil, rec))
		if err != nil || !reflect.DeepEqual(again, rec) {
			t.Errorf("%+v comes back as %+v, %v", rec, again, err)
		}
		brief, err := decodeBrief(b)
		rec.Logs, rec.Response.Result = nil, nil
		if err != nil || !reflect.DeepEqual(brief, rec) {
			t.Errorf("%+v is in brief %+v, %v", rec, brief, err)
		}
	})
}

func FuzzDecodeCall(f *testing.F) {
	f.Add(encodeCall(&activation.Accepted{ID: "id", Namespace: "guest", Call: []byte("call")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if call, err := decodeCall(b); err == nil {
			if again, err := decodeCall(encodeCall(&call)); err != nil || !reflect.DeepEqual(again, call) {
				t.Errorf("%+v comes back as %+v, %v", call, again, err)
			}
		}
	})
}

func TestStartOrder(t *testing.T) {
	var last []byte
	for _, start := range []int64{1 << 62, 1_700_000_000_001, 1_700_000_000_000, 1, 0, -1, -1 << 62} {
		key := appendTime(nil, start)
		if got := startOf(key); got != start {
			t.Errorf("start %d comes back as %d", start, got)
		}
		if string(key) <= string(last) {
			t.Errorf("start %d does not come after the later one", start)
		}
		last = key
	}
}
