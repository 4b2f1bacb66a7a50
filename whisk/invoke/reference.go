package invoke

import (
	"encoding/binary"

	"millrace/whisk"
)

// An accepted call is kept in one of two forms. A new one names its action: what
// many calls are accepted at once for is written in one piece, and whole actions
// would be nearly all of it. Should it have to be read again, because the queue is
// long or after a restart, then it runs what has that name by then. What is not
// found by its name, or has been tried before, is kept with its action (acceptedCall).
//
// A reference begins with 0, which is no length of an acceptedCall, and its
// version; texts have their length in front, numbers are varints, and the payload
// is the rest: in clear, or sealed in another version.
const (
	referenceVersion       = 1
	sealedReferenceVersion = 2
)

// encodeReference answers the short form of a call, or nil if it has none.
func (v *Invoker) encodeReference(r *request) []byte {
	if v.cfg.Actions == nil || r.attempts > 0 || r.completion {
		return nil
	}
	n := reachedAs(&acceptedCall{Action: r.Action, Binding: r.Binding})
	if found, err := v.cfg.Actions.Resolve(r.Caller, n); err != nil || found.Action != r.Action {
		return nil
	}
	payload, sealed := v.conceal(r.Caller.Namespace, r.Payload)
	version := byte(referenceVersion)
	if sealed {
		version = sealedReferenceVersion
	}
	b := make([]byte, 0, 128+len(payload))
	b = append(b, 0, version)
	for _, s := range [...]string{r.TransactionID, r.Caller.Subject, n.Namespace, n.Package, n.Name, r.Cause} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendVarint(b, r.received.UnixMilli())
	return append(b, payload...)
}

// decodeReference reads what encodeReference wrote. The action has a name only.
func decodeReference(data []byte) (h *acceptedCall, payload []byte, err error) {
	if len(data) < 2 || data[1] != referenceVersion && data[1] != sealedReferenceVersion {
		return nil, nil, errDamaged
	}
	h = &acceptedCall{Action: new(whisk.Action), named: true, Sealed: data[1] == sealedReferenceVersion}
	a, rest := h.Action, data[2:]
	for _, to := range [...]*string{&h.TransactionID, &h.Subject, &a.Namespace, &a.Package, &a.Name, &h.Cause} {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return nil, nil, errDamaged
		}
		*to, rest = string(rest[n:n+int(size)]), rest[n+int(size):]
	}
	received, n := binary.Varint(rest)
	if n <= 0 {
		return nil, nil, errDamaged
	}
	h.Received = received
	return h, rest[n:], nil
}

// find gives a call that named its action what has that name now.
func (v *Invoker) find(r *request) {
	a := r.Action
	found, err := v.resolve(r.Caller, whisk.FullName{Namespace: a.Namespace, Package: a.Package, Name: a.Name})
	if err != nil {
		r.removed = true
		return
	}
	r.Action, r.Inherited, r.Binding = found.Action, found.Inherited, found.Binding
}
