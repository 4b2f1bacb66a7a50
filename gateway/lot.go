package gateway

import (
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lot is where the parked connections of a listener are, whose mu guards it.
type lot struct {
	berths map[int32]*berth // by descriptor
	// oldest was parked before all others, newest after them.
	oldest, newest *berth
	closed         bool
	// epoll tells of the descriptors on which something has come; nil before the
	// first connection is parked.
	epoll   *os.File
	epollFD int
	watcher sync.WaitGroup
	// released is when memory was last given back, releasedAt how many connections
	// there were then.
	released   time.Time
	releasedAt int
}

// berth is what is kept of a parked connection.
type berth struct {
	older, newer   *berth
	held           *held // nil if the connection is nothing but its socket
	deadline       int64 // coarse milliseconds
	serial, opened int64 // of its origin
	fd             int32
	requests       uint32
}

// add takes a connection in and watches it; tell is called when something has come.
// False if it cannot.
func (p *lot) add(b *berth, tell func(fd int32, events uint32)) bool {
	if p.closed || p.epoll == nil && !p.open(tell) {
		return false
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: b.fd}
	if unix.EpollCtl(p.epollFD, unix.EPOLL_CTL_ADD, int(b.fd), &event) != nil {
		return false
	}
	p.berths[b.fd] = b
	if b.older, p.newest = p.newest, b; b.older != nil {
		b.older.newer = b
	} else {
		p.oldest = b
	}
	return true
}

// open begins to watch.
func (p *lot) open(tell func(fd int32, events uint32)) bool {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	// Go's own poller watches over this one, so that no thread waits for it.
	_ = unix.SetNonblock(fd, true)
	epoll := os.NewFile(uintptr(fd), "parked connections")
	raw, err := epoll.SyscallConn()
	if err != nil {
		epoll.Close()
		return false
	}
	p.epoll, p.epollFD, p.berths = epoll, fd, map[int32]*berth{}
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
				tell(e.Fd, e.Events)
			}
		}
	})
	return true
}

// take takes the connection with that descriptor out; nil if there is none.
func (p *lot) take(fd int32) *berth {
	b := p.berths[fd]
	if b == nil {
		return nil
	}
	delete(p.berths, fd)
	_ = unix.EpollCtl(p.epollFD, unix.EPOLL_CTL_DEL, int(fd), nil)
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		p.newest = b.older
	}
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		p.oldest = b.newer
	}
	b.older, b.newer = nil, nil
	return b
}

// forget ends the watching, when the lot is empty. Nobody holds the listener's mu.
func (p *lot) forget() {
	if p.epoll != nil {
		p.epoll.Close()
	}
	p.watcher.Wait()
}

// When releaseAfter connections more have been parked, the memory that they took is
// worth giving back to the system, once in releaseEvery at most.
const (
	releaseAfter = 1024
	releaseEvery = 10 * time.Second
)

// release gives memory back to the system if many connections have been parked.
func (p *lot) release(now time.Time) {
	n := len(p.berths)
	p.releasedAt = min(p.releasedAt, n)
	if n-p.releasedAt < releaseAfter || now.Sub(p.released) < releaseEvery {
		return
	}
	p.released, p.releasedAt = now, n
	p.watcher.Go(debug.FreeOSMemory)
}
