// Package rawio reads and writes pipes and sockets in non-blocking mode without
// telling Go's scheduler.
//
// An ordinary system call marks its processor as free to be taken, and when the
// call takes long the scheduler's monitor hands it to another thread. A write
// that wakes its reader takes long: the kernel may run the reader first, or has
// to wake another core. On few cores the handing over, and the monitor that then
// never rests, cost more than the call. The calls here never wait, so there is
// nothing that another thread would have to be found for.
package rawio

import (
	"io"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from a descriptor in non-blocking mode; p must not be empty.
func Read(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return call(unix.SYS_READ, fd, p)
}

// Write writes to a descriptor in non-blocking mode; p must not be empty.
func Write(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return call(unix.SYS_WRITE, fd, p)
}

func call(trap, fd uintptr, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// AnyReadable tells whether one of two descriptors has something to read or has
// been closed at its other end.
func AnyReadable(a, b int) bool {
	fds := [2]unix.PollFd{{Fd: int32(a), Events: unix.POLLIN}, {Fd: int32(b), Events: unix.POLLIN}}
	var now unix.Timespec
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), uintptr(len(fds)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 || n > 0
}

// Conn is a TCP connection read and written in this way. One goroutine may read
// and one write at a time.
type Conn struct {
	*net.TCPConn
	raw         syscall.RawConn
	read, write transfer
}

// transfer is one direction: what its next step moves, and how that went.
type transfer struct {
	p    []byte
	n    int
	err  error
	step func(fd uintptr) bool
}

// NewConn takes over a connection. A connection that is not TCP is answered as
// it is.
func NewConn(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	conn := &Conn{TCPConn: tcp, raw: raw}
	conn.read.step, conn.write.step = conn.readStep, conn.writeStep
	return conn
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.TCPConn.Read(p)
	}
	t := &c.read
	t.p, t.n, t.err = p, 0, nil
	err := c.raw.Read(t.step)
	t.p = nil
	if err != nil {
		return 0, err
	}
	return t.n, t.err
}

func (c *Conn) readStep(fd uintptr) bool {
	t := &c.read
	n, errno := Read(fd, t.p)
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno == syscall.EINTR:
		return c.readStep(fd)
	case errno != 0:
		t.err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errno}
	case n == 0:
		t.err = io.EOF
	}
	t.n = n
	return true
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.write
	t.p, t.n, t.err = p, 0, nil
	err := c.raw.Write(t.step)
	t.p = nil
	if err != nil {
		return t.n, err
	}
	return t.n, t.err
}

func (c *Conn) writeStep(fd uintptr) bool {
	t := &c.write
	for t.n < len(t.p) {
		n, errno := Write(fd, t.p[t.n:])
		switch {
		case errno == syscall.EAGAIN:
			return false
		case errno == syscall.EINTR:
		case errno != 0:
			t.err = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errno}
			return true
		}
		t.n += n
	}
	return true
}

// Pending looks without waiting whether received bytes are waiting, and whether the
// peer has kept the connection open. It may be called at any time.
func (c *Conn) Pending() (pending, open bool) {
	p := peeks.Get().(*peek)
	defer peeks.Put(p)
	err := c.raw.Control(p.look)
	return p.pending && err == nil, p.open && err == nil
}

// peek is one look of Pending; look is p.step, made once.
type peek struct {
	pending, open bool
	look          func(fd uintptr)
}

var peeks = sync.Pool{New: func() any {
	p := &peek{}
	p.look = p.step
	return p
}}

func (p *peek) step(fd uintptr) { p.pending, p.open = Look(fd) }

// Look is Pending for a descriptor of a socket.
func Look(fd uintptr) (pending, open bool) {
	var b [1]byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	pending = errno == 0 && n > 0
	return pending, pending || errno == syscall.EAGAIN || errno == syscall.EINTR
}
