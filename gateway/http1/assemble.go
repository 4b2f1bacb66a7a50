package http1

import "bytes"

// Assemble makes r of a request whose parts came by themselves, as those of HTTP/2
// and HTTP/3 do, and checks them as strictly as Parse does: whatever passes can be
// sent on as HTTP/1.1. r.Fields holds the fields; authority is nil if it is among
// them only. length is that of the body, -1 if it is not known.
//
// The fields of one connection only, such as Transfer-Encoding, are the caller's to
// refuse.
func (r *Request) Assemble(method, target, authority []byte, length int64) error {
	fields := r.Fields
	*r = Request{Fields: fields[:0], Method: method, Length: length}
	switch {
	case len(target) > MaxLine-len(method)-len(" HTTP/1.1\r\n"):
		return ErrTargetTooLong
	case string(method) == "TRACE" || string(method) == "CONNECT":
		return ErrMethod
	case len(method) == 0 || !all(method, classMethod), len(target) == 0 || target[0] != '/' || !all(target, classTarget):
		return ErrMalformed
	}
	r.Target = target
	if authority != nil {
		if !validHost(authority) {
			return ErrMalformed
		}
		r.Host = authority
	}
	return r.takeFields(fields)
}

// takeFields checks fields and keeps them. Cookies, which come one by one, become
// one field.
func (r *Request) takeFields(fields []Field) error {
	size, cookie := 0, -1
	for i := range fields {
		f := fields[i]
		n := len(f.Name) + len(f.Value) + len(": \r\n")
		if size += n; n > MaxLine || size > MaxHead {
			return ErrHeadTooLarge
		}
		if len(f.Name) == 0 || !all(f.Name, classToken) || !all(f.Value, classValue) {
			return ErrMalformed
		}
		f.Value = trimSpace(f.Value)
		switch f.Kind = KindOf(f.Name); f.Kind {
		case Host:
			if r.Host != nil { // as the authority, or twice
				if !bytes.Equal(r.Host, f.Value) {
					return ErrMalformed
				}
				continue
			}
			if !validHost(f.Value) {
				return ErrMalformed
			}
			r.Host = f.Value
			continue
		case ContentLength:
			r.HasLength = true
		case Other:
			if !EqualFold(f.Name, "cookie") {
				break
			}
			if cookie >= 0 {
				first := &r.Fields[cookie]
				first.Value = append(append(bytes.Clone(first.Value), "; "...), f.Value...)
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
