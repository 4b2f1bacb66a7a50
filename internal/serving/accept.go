package serving

import (
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lastAccept is how long connections are still accepted when the listener drains:
	// those that clients have already opened.
	lastAccept = 50 * time.Millisecond
	// lastAccepts is how many times as long that may become on a machine that is too
	// busy to accept them meanwhile.
	lastAccepts = 10
)

// Acceptor accepts the connections of a listener.
type Acceptor struct {
	net.Listener
	Log *slog.Logger

	draining atomic.Bool
}

// AcceptAll gives connections to take until the listener is closed or, after Drain, no
// more come. Then it closes the listener.
func (a *Acceptor) AcceptAll(take func(net.Conn)) error {
	defer a.Close()
	for range lastAccepts {
		err := a.accept(take)
		if !a.draining.Load() {
			return err
		}
		if !a.waiting() {
			break
		}
		a.endSoon() // it was too late to look
	}
	return nil
}

// accept accepts until an error that does not go by itself. While the machine lacks
// something, it tries again.
func (a *Acceptor) accept(take func(net.Conn)) error {
	var wait time.Duration
	for {
		conn, err := a.Accept()
		switch {
		case err == nil:
			wait = 0
			take(conn)
		case isScarcity(err):
			wait = min(max(5*time.Millisecond, 2*wait), time.Second)
			a.Log.Warn("accepting a connection", "listener", a.Addr(), "err", err, "again_in", wait)
			time.Sleep(wait)
		default:
			return err
		}
	}
}

// Drain ends AcceptAll, after what is already waiting.
func (a *Acceptor) Drain() {
	a.draining.Store(true)
	a.endSoon()
}

func (a *Acceptor) endSoon() {
	if d, ok := a.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now().Add(lastAccept)) // fails when it is closed
	} else {
		a.Close()
	}
}

// waiting tells whether a client has opened a connection that is not accepted yet.
func (a *Acceptor) waiting() bool {
	s, ok := a.Listener.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) })
	return err == nil && n > 0
}

// isScarcity says that the machine lacks something which connections that end give back,
// most likely file descriptors.
func isScarcity(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return true
	}
	return false
}
