// Package proxyproto reads and writes the PROXY protocol, versions 1 and 2: the
// head by which a load balancer says, ahead of all else on a connection, for which
// client it has opened it. Only listeners that are configured for it read it, and
// there a connection without it is an error, as otherwise clients could leave out
// or make up the head as they like.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
)

// ErrMalformed says that a connection does not begin with a PROXY head.
var ErrMalformed = errors.New("no PROXY protocol head")

// Header is what a head says. Both are zero if the balancer speaks for itself, such
// as when it checks whether the server is well.
type Header struct{ Source, Destination netip.AddrPort }

const (
	// maxText is the longest head of version 1, with its line end.
	maxText = 107
	// maxBinary bounds a head of version 2: more than its addresses need, which
	// leaves room for what balancers add about the client's TLS.
	maxBinary = 4096
	// fixed is the part of version 2 that says how long the rest is.
	fixed = 16
)

var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Read reads a head from r. What was read of the client's own bytes is rest.
func Read(r io.Reader) (h Header, rest []byte, err error) {
	buf, have := make([]byte, 256), 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		h, used, need, bad := Parse(buf[:have])
		switch {
		case bad != nil:
			return h, nil, bad
		case need == 0:
			return h, buf[used:have], nil
		case err != nil:
			return h, nil, fmt.Errorf("reading a PROXY protocol head: %w", err)
		}
		if need > len(buf) {
			buf = append(buf, make([]byte, need-len(buf))...)
		}
	}
}

// Parse reads the head at the beginning of b, which is used bytes long. need is 0
// when all of it is there, else how long b has to be at least to tell more. The
// error is ErrMalformed, with what is wrong.
func Parse(b []byte) (h Header, used, need int, err error) {
	if n := min(len(b), len(signature)); bytes.Equal(b[:n], signature[:n]) {
		return parseBinary(b)
	}
	return parseText(b)
}

const textPrefix = "PROXY "

// parseText reads version 1: PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n.
func parseText(b []byte) (h Header, used, need int, err error) {
	if n := min(len(b), len(textPrefix)); string(b[:n]) != textPrefix[:n] {
		return h, 0, 0, ErrMalformed
	}
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) >= maxText || end >= maxText:
		return h, 0, 0, fmt.Errorf("%w: it is too long", ErrMalformed)
	case end < 0:
		return h, 0, len(b) + 1, nil
	case b[end-1] != '\r':
		return h, 0, 0, fmt.Errorf("%w: it does not end with CR LF", ErrMalformed)
	}
	words := bytes.Split(b[len(textPrefix):end-1], []byte(" "))
	if string(words[0]) == "UNKNOWN" { // what follows says nothing
		return h, end + 1, 0, nil
	}
	if len(words) != 5 {
		return h, 0, 0, fmt.Errorf("%w: it has not five parts", ErrMalformed)
	}
	var ok [2]bool
	h.Source, ok[0] = parseEnd(words[0], words[1], words[3])
	h.Destination, ok[1] = parseEnd(words[0], words[2], words[4])
	if !ok[0] || !ok[1] {
		return Header{}, 0, 0, fmt.Errorf("%w: an address is wrong", ErrMalformed)
	}
	return h, end + 1, 0, nil
}

// parseEnd reads the address and the port of one side.
func parseEnd(family, addr, port []byte) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(string(addr))
	switch {
	case err != nil, a.Zone() != "":
		return netip.AddrPort{}, false
	case string(family) == "TCP4" && !a.Is4(), string(family) == "TCP6" && !a.Is6():
		return netip.AddrPort{}, false
	case string(family) != "TCP4" && string(family) != "TCP6":
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// parseBinary reads version 2.
func parseBinary(b []byte) (h Header, used, need int, err error) {
	if len(b) < fixed {
		return h, 0, fixed, nil
	}
	length := fixed + int(binary.BigEndian.Uint16(b[14:]))
	version, command := b[12]>>4, b[12]&0xf
	switch {
	case version != 2:
		return h, 0, 0, fmt.Errorf("%w: version %d", ErrMalformed, version)
	case command > 1:
		return h, 0, 0, fmt.Errorf("%w: command %d", ErrMalformed, command)
	case length > maxBinary:
		return h, 0, 0, fmt.Errorf("%w: it is too long", ErrMalformed)
	case len(b) < length:
		return h, 0, length, nil
	}
	head := b[:length]
	addresses, ok := h.readAddresses(head)
	if !ok {
		return Header{}, 0, 0, fmt.Errorf("%w: its addresses are cut short", ErrMalformed)
	}
	if err := checkExtensions(head, addresses); err != nil {
		return Header{}, 0, 0, err
	}
	if command == 0 { // LOCAL: the addresses are the balancer's own
		h = Header{}
	}
	return h, length, 0, nil
}

// The address families of version 2, with the transport TCP.
const (
	tcp4 = 0x11
	tcp6 = 0x21
)

// readAddresses reads the addresses and answers where they end. Those of families
// that no client of a TCP listener has are passed over.
func (h *Header) readAddresses(head []byte) (end int, ok bool) {
	size := 0
	switch head[13] >> 4 {
	case 1:
		size = 4
	case 2:
		size = 16
	case 3:
		return fixed + 216, len(head) >= fixed+216
	default:
		return fixed, true
	}
	end = fixed + 2*size + 4
	if len(head) < end {
		return 0, false
	}
	if kind := head[13]; kind != tcp4 && kind != tcp6 {
		return end, true
	}
	source, _ := netip.AddrFromSlice(head[fixed : fixed+size])
	destination, _ := netip.AddrFromSlice(head[fixed+size : fixed+2*size])
	h.Source = netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(head[end-4:]))
	h.Destination = netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(head[end-2:]))
	return end, true
}

// checksumType is the extension with the head's CRC-32C.
const checksumType = 3

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkExtensions walks what follows the addresses, from at on, and verifies the
// checksum if there is one. A head without addresses may end in anything.
func checkExtensions(head []byte, at int) error {
	if at == fixed {
		return nil
	}
	for at < len(head) {
		if len(head)-at < 3 {
			return fmt.Errorf("%w: an extension is cut short", ErrMalformed)
		}
		kind, size := head[at], int(binary.BigEndian.Uint16(head[at+1:]))
		at += 3
		if len(head)-at < size {
			return fmt.Errorf("%w: an extension is cut short", ErrMalformed)
		}
		if kind == checksumType && (size != 4 || !checksumHolds(head, at)) {
			return fmt.Errorf("%w: its checksum is wrong", ErrMalformed)
		}
		at += size
	}
	return nil
}

// checksumHolds tells whether the checksum at a position is that of the head with
// zeros in its place.
func checksumHolds(head []byte, at int) bool {
	sum := crc32.Update(0, castagnoli, head[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	sum = crc32.Update(sum, castagnoli, head[at+4:])
	return sum == binary.BigEndian.Uint32(head[at:])
}

// Append appends a head of version 1. Addresses of different families are both
// written as IPv6; without a source the head says nothing.
func Append(dst []byte, h Header) []byte {
	source, destination := h.Source, h.Destination
	if !source.IsValid() || !destination.IsValid() {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	from, to, family := source.Addr().Unmap().WithZone(""), destination.Addr().Unmap().WithZone(""), "TCP4 "
	if !from.Is4() || !to.Is4() {
		from, to, family = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16()), "TCP6 "
	}
	dst = append(append(dst, textPrefix...), family...)
	dst = append(from.AppendTo(dst), ' ')
	dst = append(to.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(destination.Port()), 10)
	return append(dst, "\r\n"...)
}
