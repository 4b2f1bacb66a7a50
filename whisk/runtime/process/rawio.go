package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file never block, as the pipes are in non-blocking mode. So
// they are made without telling Go's scheduler: it would hand the processor to
// another thread whenever the kernel runs the instance, just woken, in the middle
// of our write. On one core that costs more than the call itself.

func rawRead(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

func rawWrite(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// anyReadable tells whether one of two descriptors has something to read or has
// been closed at its other end.
func anyReadable(a, b int) bool {
	fds := [2]unix.PollFd{{Fd: int32(a), Events: unix.POLLIN}, {Fd: int32(b), Events: unix.POLLIN}}
	var now unix.Timespec
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), uintptr(len(fds)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 || n > 0
}
