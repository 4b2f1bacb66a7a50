package gateway

import (
	"math"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/rawio"
)

// A connection of HTTP/1.1 on which nothing has come for parkAfter is parked: its
// goroutine ends and its buffers are given back, and a descriptor that the kernel
// watches is all that is left of it until its client goes on. Going on costs about as
// much as serving a request. A longer wait would have more connections with all that
// they take at once, for which the runtime keeps some 2 KB each for ever.
const parkAfter = 500 * time.Millisecond

// When releaseAfter connections have been parked, the memory that they took is worth
// giving back to the system, once in releaseEvery at most.
const (
	releaseAfter = 1024
	releaseEvery = 10 * time.Second
)

// suggestParking asks the connection's goroutine to park it, if it has been idle for
// long enough.
func (c *clientConn) suggestParking(now int64) {
	if !c.idle.Load() || c.begun.Load() || c.requests.Load() == 0 || c.parking.Load() {
		return
	}
	since := c.deadline.Load() - c.l.g.conf.KeepaliveTimeout.Milliseconds()
	if _, plain := c.Conn.(*rawio.Conn); !plain || now-since < c.l.g.parkAfter.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted || c.shut || c.l.draining.Load() {
		return
	}
	// A request that begins now is seen here, or sees parking in nextHead.
	c.parking.Store(true)
	if !c.begun.Load() {
		c.Conn.SetReadDeadline(past)
	}
}

// stay undoes suggestParking; false if the connection has to end.
func (c *clientConn) stay() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parking.Store(false)
	if c.aborted || c.shut {
		return false
	}
	c.Conn.SetReadDeadline(time.Time{})
	return true
}

// goesOn says whether the connection waits on although reading ended with err, which
// was suggestParking. When it has been parked, parked is set.
func (c *clientConn) goesOn(err error) bool {
	if !c.parking.Load() || !isTimeout(err) || !c.stay() || c.timedOut() {
		return false
	}
	if c.reader.Buffered() > 0 {
		return true
	}
	c.parked = c.l.lot.add(c.l, c.raw.(*rawio.Conn).TCPConn, parked{
		deadline: c.deadline.Load(), serial: c.origin.serial, requests: uint32(c.requests.Load()), opened: uint32(c.origin.opened / 1000),
	})
	return !c.parked && c.l.draining.Load()
}

// lot is where the parked connections of a listener are.
type lot struct {
	mu     sync.Mutex
	parked map[int32]parked // by descriptor
	closed bool
	// epoll tells of the descriptors on which something has come; nil before the
	// first connection is parked.
	epoll   *os.File
	epollFD int
	watcher sync.WaitGroup
	// arrived counts connections since memory was given back, at released.
	arrived  int
	released time.Time
}

// parked is what is kept of a connection, beside its descriptor.
type parked struct {
	deadline int64 // coarse milliseconds
	serial   int64
	requests uint32
	opened   uint32 // Unix seconds
}

// add takes a connection in, which the caller closes: the lot has another descriptor
// of it. False if it cannot.
func (p *lot) add(l *listener, conn *net.TCPConn, one parked) (added bool) {
	fd, ok := duplicate(conn)
	if !ok {
		return false
	}
	defer func() {
		if !added {
			unix.Close(int(fd))
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.epoll == nil && !p.open(l) {
		return false
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: fd}
	if unix.EpollCtl(p.epollFD, unix.EPOLL_CTL_ADD, int(fd), &event) != nil {
		return false
	}
	p.parked[fd] = one
	p.arrived++
	return true
}

// duplicate answers a descriptor without what Go keeps of each that it waits for.
func duplicate(conn *net.TCPConn) (fd int32, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	n, duped := 0, error(nil)
	err = raw.Control(func(of uintptr) { n, duped = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	return int32(n), err == nil && duped == nil
}

// restore is the opposite of duplicate.
func restore(fd int32) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "parked connection")
	defer f.Close()
	return net.FileConn(f)
}

// open begins to watch; mu is held.
func (p *lot) open(l *listener) bool {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	// Go's own poller watches over this one, so that no thread waits for it.
	_ = unix.SetNonblock(fd, true)
	p.epoll, p.epollFD, p.parked = os.NewFile(uintptr(fd), "parked connections"), fd, map[int32]parked{}
	raw, err := p.epoll.SyscallConn()
	if err != nil {
		return false
	}
	p.watcher.Go(func() {
		var events [128]unix.EpollEvent
		for {
			n := 0
			look := func(fd uintptr) bool {
				n, _ = unix.EpollWait(int(fd), events[:], 0)
				return n != 0
			}
			if raw.Read(look) != nil {
				return
			}
			for _, e := range events[:max(n, 0)] { // -1: interrupted
				p.wake(l, e.Fd)
			}
		}
	})
	return true
}

// wake serves a connection again.
func (p *lot) wake(l *listener, fd int32) {
	p.mu.Lock()
	one, ok := p.take(fd)
	if ok {
		l.done.Add(1) // while mu is held: close comes before anybody waits for done
	}
	p.mu.Unlock()
	if ok {
		l.resume(fd, one)
		l.done.Done()
	}
}

// take takes a connection out; mu is held.
func (p *lot) take(fd int32) (parked, bool) {
	one, ok := p.parked[fd]
	if ok {
		delete(p.parked, fd)
		_ = unix.EpollCtl(p.epollFD, unix.EPOLL_CTL_DEL, int(fd), nil)
	}
	return one, ok
}

// close serves all connections again and takes no more in.
func (p *lot) close(l *listener) {
	p.mu.Lock()
	p.closed = true
	all := make([]int32, 0, len(p.parked))
	for fd := range p.parked {
		all = append(all, fd)
	}
	p.mu.Unlock()
	for _, fd := range all {
		p.wake(l, fd)
	}
}

// forget ends the watching, when the lot is closed.
func (p *lot) forget() {
	if p.epoll != nil {
		p.epoll.Close()
		p.watcher.Wait()
	}
}

func (p *lot) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parked)
}

// end closes, up to most, connections for which which answers true, and answers how
// many those were.
func (p *lot) end(l *listener, most int, which func(fd int32, one parked) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for fd, one := range p.parked {
		if n == most {
			break
		}
		if which(fd, one) {
			p.take(fd)
			unix.Close(int(fd))
			l.g.open.Add(-1)
			n++
		}
	}
	return n
}

// expire closes what has been idle for too long.
func (p *lot) expire(l *listener, now int64) {
	p.end(l, math.MaxInt, func(_ int32, one parked) bool { return now > one.deadline })
}

// shed closes some connections to make room and answers how many.
func (p *lot) shed(l *listener) int {
	return p.end(l, shedAtOnce, func(fd int32, _ parked) bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, 0)
		return n == 0 // no request is waiting
	})
}

// release gives memory back to the system after many connections have been parked.
func (p *lot) release(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.arrived < releaseAfter || now.Sub(p.released) < releaseEvery {
		return
	}
	p.arrived, p.released = 0, now
	p.watcher.Go(debug.FreeOSMemory)
}

// resume serves a connection that was parked.
func (l *listener) resume(fd int32, one parked) {
	conn, err := restore(fd)
	if err != nil {
		l.g.conf.Log.Error("a connection that was idle cannot be served any more", "err", err)
		l.g.open.Add(-1)
		return
	}
	c := newConn(l, rawio.NewConn(conn))
	c.origin.serial, c.origin.opened = one.serial, int64(one.opened)*1000
	c.requests.Store(int64(one.requests))
	c.counted, c.resumed = int64(one.requests), true
	l.run(c)
}
