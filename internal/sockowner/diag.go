package sockowner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sizes of what sock_diag(7) speaks of, in bytes.
const (
	headerSize  = 16
	requestSize = 56 // struct inet_diag_req_v2
	answerSize  = 72 // struct inet_diag_msg
	uidAt       = 64 // of inet_diag_msg.idiag_uid; idiag_inode follows
)

// byDiag answers the owner of one socket from the kernel's own table. ok is false
// if there is no such socket, or nobody holds it any more.
func byDiag(own, peer netip.AddrPort) (uid uint32, ok bool, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false, fmt.Errorf("opening sock_diag: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagRequest(own, peer), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false, fmt.Errorf("asking sock_diag: %w", err)
	}
	var buf [4096]byte
	n, _, err := unix.Recvfrom(fd, buf[:], 0)
	if err != nil {
		return 0, false, fmt.Errorf("reading from sock_diag: %w", err)
	}
	return parseDiag(buf[:n])
}

func diagRequest(own, peer netip.AddrPort) []byte {
	b := make([]byte, headerSize+requestSize)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[headerSize:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_TCP
	if own.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(r[4:], 1<<32-1) // any state
	binary.BigEndian.PutUint16(r[8:], own.Port())
	binary.BigEndian.PutUint16(r[10:], peer.Port())
	copy(r[12:28], own.Addr().AsSlice())
	copy(r[28:44], peer.Addr().AsSlice())
	for i := 48; i < 56; i++ {
		r[i] = 0xff // no cookie
	}
	return b
}

func parseDiag(b []byte) (uid uint32, ok bool, err error) {
	if len(b) < headerSize+4 {
		return 0, false, errors.New("short answer of sock_diag")
	}
	switch kind := binary.NativeEndian.Uint16(b[4:]); kind {
	case unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(b[headerSize:])))
		if errno == unix.ENOENT {
			return 0, false, nil
		}
		return 0, false, fmt.Errorf("answer of sock_diag: %w", errno)
	case unix.SOCK_DIAG_BY_FAMILY:
		m := b[headerSize:]
		if len(m) < answerSize {
			return 0, false, errors.New("short answer of sock_diag")
		}
		inode := binary.NativeEndian.Uint32(m[uidAt+4:])
		return binary.NativeEndian.Uint32(m[uidAt:]), inode != 0, nil
	default:
		return 0, false, fmt.Errorf("answer of kind %d of sock_diag", kind)
	}
}
