package gateway

import (
	"bytes"

	"millrace/gateway/http1"
)

// servletPath cuts ";param" off the segments of a cleaned path, as servlets do.
// A segment that it makes empty, or a dot segment, is refused: it would lead
// elsewhere there than here.
func servletPath(path []byte) ([]byte, error) {
	if bytes.IndexByte(path, ';') < 0 {
		return path, nil
	}
	out := make([]byte, 0, len(path))
	for rest, more := path, true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		name, _, cut := bytes.Cut(segment, []byte{';'})
		if cut {
			switch string(bytes.ToLower(name)) {
			case ".", "..", "%2e", "%2e%2e":
				return nil, http1.ErrMalformed
			case "":
				if more {
					return nil, http1.ErrMalformed
				}
			}
		}
		out = append(out, name...)
		if more {
			out = append(out, '/')
		}
	}
	return out, nil
}
