package invoke

import (
	"bytes"
	"fmt"
)

// Sealer encrypts secrets for the log. A text opens only for the purpose it was
// sealed for.
type Sealer interface {
	Seal(purpose, secret string) string
	Open(purpose, text string) (string, error)
}

// keyArgument is the argument by which clients give a feed their key, which must not
// be on disk in clear. Payloads are not parsed for it: one that has it deeper, or as
// a text, is sealed for nothing, and that does no harm.
var keyArgument = []byte(`"authKey"`)

func sealPurpose(namespace string) string { return "accepted call/" + namespace }

// conceal answers a payload as the log keeps it, and whether that is sealed.
func (v *Invoker) conceal(namespace string, payload []byte) (kept []byte, sealed bool) {
	if v.cfg.Sealer == nil || !bytes.Contains(payload, keyArgument) {
		return payload, false
	}
	return []byte(v.cfg.Sealer.Seal(sealPurpose(namespace), string(payload))), true
}

// encodeCall encodes a call with its action, its payload sealed if need be.
func (v *Invoker) encodeCall(namespace string, h *acceptedCall, payload []byte) ([]byte, error) {
	payload, h.Sealed = v.conceal(namespace, payload)
	return encodeHead(h, payload)
}

// decodeCall is decodeHead with the payload in clear.
func (v *Invoker) decodeCall(namespace string, data []byte) (h *acceptedCall, payload []byte, err error) {
	h, payload, err = decodeHead(data)
	if err != nil || !h.Sealed {
		return h, payload, err
	}
	if v.cfg.Sealer == nil {
		return nil, nil, errDamaged
	}
	text, err := v.cfg.Sealer.Open(sealPurpose(namespace), string(payload))
	if err != nil {
		return nil, nil, fmt.Errorf("opening the arguments of an accepted call: %w", err)
	}
	return h, []byte(text), nil
}
