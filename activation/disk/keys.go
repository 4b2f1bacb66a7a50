package disk

import (
	"encoding/binary"

	"millrace/activation"
	"millrace/internal/pebbledb"
)

// The first bytes of the keys; see the package comment.
const (
	bodyPrefix    = 'b'
	idPrefix      = 'i'
	namePrefix    = 'n'
	countPrefix   = 'c'
	callPrefix    = 'q'
	startedPrefix = 's'
	letterPrefix  = 'd'
	// letterCallPrefix is of the larger part of a dead letter.
	letterCallPrefix = 'e'
)

// appendPart appends text in such a way that no part is the beginning of another.
func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutPart reads a part from the beginning of b.
func cutPart(b []byte) (string, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", false
	}
	return string(b[size : size+int(n)]), true
}

// newest orders times newest first.
func newest(start int64) uint64 { return ^(uint64(start) ^ 1<<63) }

// listPrefix begins the keys of a namespace's records, or of the index of those
// with a name, in the order of a list.
func listPrefix(namespace, name string) []byte {
	if name == "" {
		return appendPart([]byte{bodyPrefix}, namespace)
	}
	return appendPart(appendPart([]byte{namePrefix}, namespace), name)
}

// timeLength is the length of what stands between a list's prefix and the id.
const timeLength = 8

func appendTime(b []byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(b, newest(start))
}

// startOf reads the start from what follows a list's prefix.
func startOf(key []byte) int64 {
	return int64(^binary.BigEndian.Uint64(key) ^ 1<<63)
}

func bodyKey(b []byte, namespace string, start int64, id string) []byte {
	return append(appendTime(appendPart(append(b, bodyPrefix), namespace), start), id...)
}

func nameKey(b []byte, namespace, name string, start int64, id string) []byte {
	b = appendPart(appendPart(append(b, namePrefix), namespace), name)
	return append(appendTime(b, start), id...)
}

func idKey(b []byte, namespace, id string) []byte {
	return append(appendPart(append(b, idPrefix), namespace), id...)
}

// timeBounds are the first key under a list's prefix for starts from one time
// to another, inclusively, and the first one after them.
func timeBounds(prefix []byte, from, to int64) (lower, upper []byte) {
	n := len(prefix)
	return appendTime(prefix[:n:n], to), appendTime(prefix[:n:n], from-1)
}

// listBounds are the same for the times of a query.
func listBounds(prefix []byte, q activation.Query) (lower, upper []byte) {
	n := len(prefix)
	lower, upper = prefix, pebbledb.After(prefix)
	if q.Upto > 0 {
		lower = appendTime(prefix[:n:n], q.Upto)
	}
	if q.Since > 0 {
		upper = appendTime(prefix[:n:n], q.Since-1)
	}
	return lower, upper
}

// callKey and startedKey number accepted calls in their order.
func callKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{callPrefix}, seq)
}

func startedKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{startedPrefix}, seq)
}
