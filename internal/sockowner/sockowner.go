// Package sockowner tells which user of this machine owns the other end of a TCP
// connection, as Linux knows it.
package sockowner

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
)

// UID answers the owner of the TCP socket at own that is connected to peer. ok is
// false if it is not on this machine, or has been closed by its owner.
func UID(own, peer netip.AddrPort) (uid uint32, ok bool, err error) {
	own, peer = unmapped(own), unmapped(peer)
	if uid, ok, err = byDiag(own, peer); err == nil {
		return uid, ok, nil
	}
	return byProc(own, peer) // the kernel has no sock_diag, or does not let us
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// byProc reads the tables of all sockets, which takes long where there are many.
func byProc(own, peer netip.AddrPort) (uid uint32, ok bool, err error) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return 0, false, err
		}
		if uid, ok = findUID(table, own, peer); ok {
			return uid, true, nil
		}
	}
	return 0, false, nil
}

// findUID reads lines "sl local remote state queues timer retransmits uid timeout
// inode …". A socket without an inode belongs to nobody any more.
func findUID(table []byte, own, peer netip.AddrPort) (uid uint32, ok bool) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 10 || string(f[9]) == "0" {
			continue
		}
		if a, ok := parseAddr(f[1]); !ok || a != own {
			continue
		}
		if a, ok := parseAddr(f[2]); !ok || a != peer {
			continue
		}
		if n, err := strconv.ParseUint(string(f[7]), 10, 32); err == nil {
			return uint32(n), true
		}
	}
	return 0, false
}

// parseAddr reads ADDRESS:PORT in hex; the address is in words of 32 bits in the
// machine's byte order.
func parseAddr(text []byte) (netip.AddrPort, bool) {
	host, port, ok := bytes.Cut(text, []byte(":"))
	if !ok || len(host) != 8 && len(host) != 32 {
		return netip.AddrPort{}, false
	}
	raw := make([]byte, len(host)/2)
	if _, err := hex.Decode(raw, host); err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		word := binary.BigEndian.Uint32(raw[i:])
		binary.NativeEndian.PutUint32(raw[i:], word)
	}
	number, err := strconv.ParseUint(string(port), 16, 16)
	addr, is := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), err == nil && is
}
