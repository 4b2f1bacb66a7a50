package http1

import "bytes"

// CleanPath answers the path of a request target as routes are matched against
// it: percent-decoded once, slashes merged, dot segments resolved. The result is
// part of target if nothing had to change, else it is built in scratch, which is
// answered as well for the next call. keepSlash leaves %2F as it is. A bad escape, an encoded NUL and a path
// that climbs above the root are ErrMalformed.
func CleanPath(target, scratch []byte, keepSlash bool) (path, newScratch []byte, err error) {
	raw := target
	if i := bytes.IndexByte(raw, '?'); i >= 0 {
		raw = raw[:i]
	}
	if isClean(raw) {
		return raw, scratch, nil
	}
	out, err := unescape(scratch[:0], raw, keepSlash)
	if err != nil {
		return nil, scratch, err
	}
	n, err := resolveDots(out)
	if err != nil {
		return nil, scratch, err
	}
	return out[:n], out, nil
}

func isClean(raw []byte) bool {
	for i, c := range raw {
		if c == '%' || c == '/' && i+1 < len(raw) && (raw[i+1] == '/' || raw[i+1] == '.') {
			return false
		}
	}
	return true
}

func unescape(dst, raw []byte, keepSlash bool) ([]byte, error) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return nil, ErrMalformed
			}
			hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
			if hi < 0 || lo < 0 || hi|lo == 0 {
				return nil, ErrMalformed
			}
			c = byte(hi<<4 | lo)
			if c == '/' && keepSlash {
				dst = append(dst, raw[i:i+3]...)
				i += 2
				continue
			}
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// resolveDots resolves segments and merges slashes in place and answers the new
// length. p begins with a slash.
func resolveDots(p []byte) (int, error) {
	w := 0 // p[:w] is done and ends with a slash or is empty
	p[w], w = '/', 1
	for i := 1; i <= len(p); {
		end := len(p)
		if j := bytes.IndexByte(p[i:], '/'); j >= 0 {
			end = i + j
		}
		segment := p[i:end]
		last := end == len(p)
		switch {
		case len(segment) == 0, string(segment) == ".":
		case string(segment) == "..":
			if w == 1 {
				return 0, ErrMalformed
			}
			w = bytes.LastIndexByte(p[:w-1], '/') + 1
		default:
			w += copy(p[w:], segment)
			if !last {
				p[w] = '/'
				w++
			}
		}
		if last {
			return w, nil
		}
		i = end + 1
	}
	return w, nil
}
