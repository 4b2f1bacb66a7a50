package hostclient

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// bytesAcknowledged answers how many bytes of a TCP connection the peer's system
// has acknowledged, also after the connection has failed.
func bytesAcknowledged(c net.Conn) (n uint64, ok bool) {
	tcp, is := c.(syscall.Conn)
	if !is {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); e == nil {
			n, ok = info.Bytes_acked, true
		}
	})
	return n, ok && err == nil
}
