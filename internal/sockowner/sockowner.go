// Package sockowner tells which users of this machine own the TCP sockets at an
// address, as Linux' /proc shows them.
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

// UIDs answers the owners of the open sockets whose own address is local: none if
// they are not on this machine, or have been closed by their owner.
func UIDs(local netip.AddrPort) ([]uint32, error) {
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	var uids []uint32
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, err
		}
		uids = appendUIDs(uids, table, local)
	}
	return uids, nil
}

// appendUIDs reads lines "sl local remote state queues timer retransmits uid
// timeout inode …". A socket without an inode belongs to nobody any more.
func appendUIDs(uids []uint32, table []byte, local netip.AddrPort) []uint32 {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 10 || string(f[9]) == "0" {
			continue
		}
		if at, ok := parseAddr(f[1]); !ok || at != local {
			continue
		}
		if uid, err := strconv.ParseUint(string(f[7]), 10, 32); err == nil {
			uids = append(uids, uint32(uid))
		}
	}
	return uids
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
