package rawio

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Handle answers a descriptor of the socket that stays open when c is closed. It takes
// no memory beside the kernel's, as the runtime knows nothing of it.
func (c *Conn) Handle() (fd int, err error) {
	var duplicated error
	err = c.raw.Control(func(of uintptr) { fd, duplicated = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = duplicated
	}
	if err != nil {
		return -1, fmt.Errorf("duplicating a descriptor: %w", err)
	}
	return fd, nil
}

// Discard closes c and lets go of its memory. Nothing may be done with it any more but
// Reopen.
func (c *Conn) Discard() {
	c.TCPConn.Close()
	c.TCPConn, c.raw = nil, nil
}

// Reopen makes c a connection again that was discarded. It takes over fd, which Handle
// answered.
func (c *Conn) Reopen(fd int) error {
	again, err := Open(fd)
	if err == nil {
		c.TCPConn, c.raw = again.TCPConn, again.raw
	}
	return err
}

// Open makes a connection of a descriptor that Handle answered, and takes it over.
func Open(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if c, ok := NewConn(conn).(*Conn); ok {
		return c, nil
	}
	conn.Close()
	return nil, fmt.Errorf("opening a connection again: %w", unix.ENOTSOCK)
}
