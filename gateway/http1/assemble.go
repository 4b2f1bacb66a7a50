package http1

import (
	"bytes"
	"cmp"
)

// Assemble makes r of a request whose parts came by themselves, as those of HTTP/2
// and HTTP/3 do, and checks them as strictly as Parse does: whatever passes can be
// sent on as HTTP/1.1. r.Fields holds the fields; authority is nil if it is among
// them only. length is that of the body, -1 if it is not known.
//
// The fields of one connection only, such as Transfer-Encoding, are the caller's to
// refuse.
func (r *Request) Assemble(method, target, authority []byte, length int64) error {
	fields := r.Fields
	*r = Request{Fields: fields[:0], Method: method, Length: length, MaxLine: cmp.Or(r.MaxLine, MaxLine), MaxHead: cmp.Or(r.MaxHead, MaxHead)}
	switch {
	case len(target) > r.MaxLine-len(method)-len(" HTTP/1.1\r\n"):
		return ErrTargetTooLong
	case string(method) == "TRACE" || string(method) == "CONNECT":
		return ErrMethod
	case len(method) == 0 || !all(method, classMethod), len(target) == 0 || target[0] != '/' || !all(target, classTarget):
		return ErrMalformed
	}
	r.Target = target
	if authority != nil {
		if err := r.takeHost(authority); err != nil {
			return err
		}
	}
	return r.takeFields(fields)
}

// takeHost takes the authority or a Host field, which may repeat it.
func (r *Request) takeHost(host []byte) error {
	if !validHost(host) || r.Host != nil && !bytes.Equal(r.Host, host) {
		return ErrMalformed
	}
	r.Host = host
	return nil
}

// takeFields checks fields and keeps them. Cookies, which come one by one, become
// one field.
func (r *Request) takeFields(fields []Field) error {
	size, cookie, joined := 0, -1, false
	for _, f := range fields {
		n := len(f.Name) + len(f.Value) + len(": \r\n")
		if size += n; n > r.MaxLine || size > r.MaxHead {
			return ErrHeadTooLarge
		}
		if len(f.Name) == 0 || !all(f.Name, classToken) || !all(f.Value, classValue) {
			return ErrMalformed
		}
		f.Value = trimSpace(f.Value)
		switch f.Kind = KindOf(f.Name); f.Kind {
		case Host:
			if err := r.takeHost(f.Value); err != nil {
				return err
			}
			continue
		case ContentLength:
			r.HasLength = true
		case Other:
			if !EqualFold(f.Name, "cookie") {
				break
			}
			if cookie >= 0 {
				first := &r.Fields[cookie]
				if !joined { // the value is the caller's
					first.Value, joined = bytes.Clone(first.Value), true
				}
				first.Value = append(append(first.Value, "; "...), f.Value...)
				continue
			}
			cookie = len(r.Fields)
		}
		r.Fields = append(r.Fields, f)
	}
	if r.Host == nil {
		return ErrMalformed
	}
	r.Fields = append(r.Fields, Field{Name: hostName, Value: r.Host, Kind: Host})
	return nil
}

var hostName = []byte("host")
