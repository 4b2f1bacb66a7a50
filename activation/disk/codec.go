package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unsafe"

	"millrace/activation"
	"millrace/whisk"
)

// A record is stored in its own encoding, not as JSON: writing it costs a tenth
// of the time, and results and annotations are JSON already. Fields follow one
// another in the order of encodeRecord; text and bytes have their length + 1 in
// front, 0 being nil; numbers are varints.

// The first byte of an encoded record. Records of the version before have no
// duration, which was End - Start then.
const (
	recordVersion   = 2
	durationMissing = 1
)

var errDamaged = errors.New("the record is damaged")

// encodeRecord appends rec to b.
func encodeRecord(b []byte, rec *whisk.Activation) []byte {
	b = append(b, recordVersion)
	for _, s := range []string{rec.Namespace, rec.Name, rec.Version, rec.Subject, rec.ID, rec.Cause} {
		b = appendText(b, s)
	}
	b = binary.AppendVarint(b, rec.Start)
	b = binary.AppendVarint(b, rec.End)
	b = binary.AppendVarint(b, rec.Duration)
	b = append(b, flag(rec.Publish))
	b = binary.AppendVarint(b, int64(rec.Response.Status))
	b = appendBytes(b, rec.Response.Result)
	b = append(b, flag(rec.Response.Size != nil))
	if rec.Response.Size != nil {
		b = binary.AppendVarint(b, int64(*rec.Response.Size))
	}
	b = appendCount(b, len(rec.Logs), rec.Logs == nil)
	for _, line := range rec.Logs {
		b = appendText(b, line)
	}
	b = appendCount(b, len(rec.Annotations), rec.Annotations == nil)
	for i := range rec.Annotations {
		kv := &rec.Annotations[i]
		b = appendText(b, kv.Key)
		b = appendBytes(b, kv.Value)
		b = append(b, flag(kv.Init))
		b = appendText(b, kv.Encryption)
	}
	return b
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendCount(b []byte, n int, isNil bool) []byte {
	if isNil {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(n)+1)
}

func appendBytes(b, v []byte) []byte { return append(appendCount(b, len(v), v == nil), v...) }

func appendText(b []byte, s string) []byte {
	return append(appendCount(b, len(s), false), s...)
}

// decodeRecord reads a record. It keeps nothing of b.
func decodeRecord(b []byte) (*whisk.Activation, error) { return newDecoder(b).record() }

// decodeBrief reads a record without its result and logs. It keeps nothing of b
// and copies only what it answers.
func decodeBrief(b []byte) (*whisk.Activation, error) {
	d := decoder{rest: b, all: unsafe.String(unsafe.SliceData(b), len(b)), brief: true}
	rec, err := d.record()
	if err != nil {
		return nil, err
	}
	rec.Response.Result, rec.Logs = nil, nil
	for _, s := range []*string{&rec.Namespace, &rec.Name, &rec.Version, &rec.Subject, &rec.ID, &rec.Cause} {
		*s = strings.Clone(*s)
	}
	for i := range rec.Annotations {
		kv := &rec.Annotations[i]
		kv.Key, kv.Value, kv.Encryption = strings.Clone(kv.Key), bytes.Clone(kv.Value), strings.Clone(kv.Encryption)
	}
	return rec, nil
}

func (d *decoder) record() (*whisk.Activation, error) {
	version := d.byte()
	if version != recordVersion && version != durationMissing {
		return nil, errDamaged
	}
	rec := &whisk.Activation{}
	for _, s := range []*string{&rec.Namespace, &rec.Name, &rec.Version, &rec.Subject, &rec.ID, &rec.Cause} {
		*s = d.text()
	}
	rec.Start = d.varint()
	rec.End = d.varint()
	switch {
	case version == recordVersion:
		rec.Duration = d.varint()
	case rec.End != 0:
		rec.Duration = rec.End - rec.Start
	}
	rec.Publish = d.byte() == 1
	rec.Response.Status = whisk.Status(d.varint())
	rec.Response.Result = d.bytes()
	if d.byte() == 1 {
		size := int(d.varint())
		rec.Response.Size = &size
	}
	rec.Logs = d.lines()
	if n, isNil := d.count(); !isNil {
		rec.Annotations = make(whisk.KeyValues, n)
		for i := range rec.Annotations {
			rec.Annotations[i] = whisk.KeyValue{Key: d.text(), Value: d.bytes(), Init: d.byte() == 1, Encryption: d.text()}
		}
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errDamaged
	}
	return rec, nil
}

func (d *decoder) lines() []string {
	n, isNil := d.count()
	if isNil {
		return nil
	}
	if d.brief {
		for range n {
			d.text()
		}
		return nil
	}
	lines := make([]string, n)
	for i := range lines {
		lines[i] = d.text()
	}
	return lines
}

func encodeCall(c *activation.Accepted) []byte {
	b := make([]byte, 0, len(c.ID)+len(c.Namespace)+len(c.Call)+16)
	return appendBytes(appendText(appendText(b, c.ID), c.Namespace), c.Call)
}

func decodeCall(b []byte) (activation.Accepted, error) {
	d := newDecoder(b)
	c := activation.Accepted{ID: d.text(), Namespace: d.text(), Call: d.bytes()}
	if d.bad || len(d.rest) > 0 {
		return activation.Accepted{}, errDamaged
	}
	return c, nil
}

// decoder reads fields one after the other. After a bad one all others are
// empty.
type decoder struct {
	rest []byte
	all  string // the same bytes, of which rest is the end
	bad  bool
	// brief: log lines are passed over.
	brief bool
}

// newDecoder copies b, so that no field needs an allocation of its own. Text and
// bytes share the copy, which nobody changes: a record that was put is as it is.
func newDecoder(b []byte) *decoder {
	b = bytes.Clone(b)
	return &decoder{rest: b, all: unsafe.String(unsafe.SliceData(b), len(b))}
}

func (d *decoder) fail() {
	d.bad, d.rest = true, nil
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	v := d.rest[0]
	d.rest = d.rest[1:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads a length. Each thing counted takes at least a byte, so a larger
// one than what is left is damage.
func (d *decoder) count() (n int, isNil bool) {
	v, size := binary.Uvarint(d.rest)
	if size <= 0 || v > uint64(len(d.rest)-size)+1 {
		d.fail()
		return 0, true
	}
	d.rest = d.rest[size:]
	if v == 0 {
		return 0, true
	}
	return int(v - 1), false
}

func (d *decoder) bytes() []byte {
	n, isNil := d.count()
	if isNil {
		return nil
	}
	v := d.rest[:n:n]
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n, _ := d.count()
	at := len(d.all) - len(d.rest)
	d.rest = d.rest[min(n, len(d.rest)):]
	return d.all[at : at+n]
}
