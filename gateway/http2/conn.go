package http2

import (
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Conn is a client's connection. Its reader is the goroutine that calls Serve; what is
// sent is queued in out under mu, and sent by whoever finds that nobody else is sending.
type Conn struct {
	nc        net.Conn
	conf      *Config
	newWorker func() Worker

	// Of the reader alone.
	frames  frameReader
	decoder *hpack.Decoder
	head    requestHead // being read
	headID  uint32      // 0: none is being read
	headEnd bool        // the request ends with its head
	headLen int         // coded bytes so far
	greeted bool        // the client's settings have come

	rest rest

	mu      sync.Mutex
	streams map[uint32]*Stream // those that are not closed
	serving []*worker
	idle    []*worker
	workers sync.WaitGroup
	maxID   uint32 // of the client's streams
	resets  resets
	budget  budget

	out, spare []byte
	writing    bool
	writes     int  // how many have begun
	full       bool // somebody waits until out is shorter
	written    *sync.Cond
	window     int // what the client takes
	newWindow  int // what each stream begins with
	unread     int // bytes of bodies that the client has not been told were read
	owed       int // bytes that it may still send
	// tables is what the client wants to be told about compression.
	tables tables

	closed   bool // nothing is sent or served any more
	refusing bool // no more streams are taken
	last     bool // the connection ends with its last stream

	// Of Check.
	active                       bool // since the last one
	activeMS, shutMS, budgetMS   int64
	stalledMS                    int64
	stalledAt                    int
	begun, shutting, saidGoodbye bool
}

// maxQueue is from how many queued bytes on answers wait.
const maxQueue = 128 << 10

// maxControl is how much may be queued by a client that reads nothing.
const maxControl = 2 * maxQueue

// worker is a goroutine that serves streams of a connection.
type worker struct {
	Worker
	stream Stream
	next   chan bool // true: stream has a request; false: end
	at     int       // among those serving
}

// New makes a connection of nc, whose client has begun with Preface.
func New(nc net.Conn, conf *Config) *Conn {
	c := &Conn{
		nc: nc, conf: conf, frames: frameReader{src: nc},
		window: defaultWindow, newWindow: defaultWindow, owed: conf.ConnWindow, budget: budget{budgetMost},
	}
	c.written = sync.NewCond(&c.mu)
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { c.head.take(f, conf.MaxHeader) })
	c.decoder.SetMaxStringLength(2 * conf.MaxHeader)
	return c
}

// Serve serves the connection until it ends, and closes it. newWorker makes what serves
// its streams. If it rests instead, see Rest, Serve may be called again to go on.
func (c *Conn) Serve(newWorker func() Worker) (rests bool) {
	c.newWorker = newWorker
	defer func() {
		if !rests {
			c.end()
		}
	}()
	if err := c.begin(); err != nil {
		c.fail(err)
		return false
	}
	for {
		rests, err := c.await()
		if rests {
			return true
		}
		if err == nil {
			err = c.takeNext()
		}
		if err != nil {
			c.fail(err)
			return false
		}
	}
}

// takeNext reads a frame and does what it says.
func (c *Conn) takeNext() error {
	f, err := c.frames.next()
	if err == nil {
		err = c.take(&f)
	}
	var oneStream streamError
	if errors.As(err, &oneStream) {
		err = c.resetStream(oneStream)
	}
	return err
}

// begin exchanges what comes before everything else.
func (c *Conn) begin() error {
	c.streams = map[uint32]*Stream{}
	if c.rest.hasRested {
		return nil
	}
	if err := c.readPreface(); err != nil {
		return err
	}
	c.greet()
	return nil
}

func (c *Conn) readPreface() error {
	b, err := c.frames.take(len(Preface))
	if err == nil && string(b) != Preface {
		err = connError{codeProtocol, "no preface"}
	}
	return err
}

// greet sends the settings.
func (c *Conn) greet() {
	c.mu.Lock()
	c.out = appendFrameHead(c.out, 4*6, frameSettings, 0, 0)
	c.out = appendSetting(c.out, settingMaxStreams, uint32(c.conf.MaxStreams))
	c.out = appendSetting(c.out, settingInitialWindow, uint32(c.conf.StreamWindow))
	c.out = appendSetting(c.out, settingMaxFrame, maxFrame)
	c.out = appendSetting(c.out, settingMaxHeaderList, uint32(c.conf.MaxHeader))
	if more := c.conf.ConnWindow - defaultWindow; more > 0 {
		c.out = appendUint32(c.out, frameWindowUpdate, 0, uint32(more))
	}
	c.unlock()
}

// fail ends the connection, whose client is told why if it is its own fault.
func (c *Conn) fail(err error) {
	var own connError
	if errors.As(err, &own) {
		c.goAway(own.code)
	}
}

// lingerTime and lingerBytes bound how long a connection is read on after its end, so
// that its last frame is not lost with what has not been read.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

func (c *Conn) goAway(code errorCode) {
	c.mu.Lock()
	c.sendGoAway(c.maxID, code)
	for c.writing {
		c.written.Wait()
	}
	c.flush()
	c.mu.Unlock()
	if w, ok := c.nc.(interface{ CloseWrite() error }); !ok || w.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	var sink [4 << 10]byte
	for n := 0; n < lingerBytes; {
		m, err := c.nc.Read(sink[:])
		if n += m; err != nil {
			return
		}
	}
}

func (c *Conn) sendGoAway(last uint32, code errorCode) {
	if c.closed {
		return
	}
	c.out = appendFrameHead(c.out, 8, frameGoAway, 0, 0)
	c.out = binary.BigEndian.AppendUint32(c.out, last)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(code))
}

// end lets go of everything and waits for the workers.
func (c *Conn) end() {
	c.mu.Lock()
	c.close()
	served := slices.Clone(c.serving)
	ids := make([]uint32, len(served))
	for i, w := range served {
		ids[i] = w.stream.id
	}
	c.dismiss()
	c.mu.Unlock()
	for i, w := range served {
		w.Gone(ids[i])
	}
	c.workers.Wait()
}

// dismiss ends the workers that serve nothing; mu is held.
func (c *Conn) dismiss() {
	for _, w := range c.idle {
		w.next <- false
	}
	c.idle = nil
}

// close closes the connection; mu is held.
func (c *Conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.nc.Close()
	c.wake()
}

// wake makes everybody look again who waits; mu is held.
func (c *Conn) wake() {
	for _, w := range c.serving {
		w.stream.changed.Broadcast()
	}
}

// unlock sends what is queued, unless somebody is sending already, and unlocks mu.
func (c *Conn) unlock() {
	c.flush()
	c.mu.Unlock()
}

// flush sends what is queued, and says whether mu, which is held, was unlocked
// meanwhile.
func (c *Conn) flush() bool {
	if c.writing || len(c.out) == 0 || c.closed {
		return false
	}
	c.writing = true
	for len(c.out) > 0 && !c.closed {
		if len(c.serving) > 1 { // other answers may be about to be queued
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		c.write()
	}
	c.writing = false
	c.written.Broadcast()
	return true
}

// keptRoom is how much room for a body a worker keeps from one request to the next.
const keptRoom = 32 << 10

func (c *Conn) write() {
	b := c.out
	c.out, c.spare = c.spare, nil
	c.writes++
	c.mu.Unlock()
	_, err := c.nc.Write(b)
	c.mu.Lock()
	if c.spare = b[:0]; cap(b) > maxControl {
		c.spare = nil
	}
	if err != nil {
		c.close()
	}
	if c.full {
		c.full = false
		c.wake()
	}
}

// flushAside is flush for the reader, who must not wait for a client that does not
// read; mu is held.
func (c *Conn) flushAside() error {
	if len(c.out) > maxControl {
		return errFlood
	}
	if !c.writing && len(c.out) > 0 && !c.closed {
		c.workers.Go(func() {
			c.mu.Lock()
			c.unlock()
		})
	}
	return nil
}

// consumed notes that n bytes of a body were read or thrown away, and tells the client
// when it is much; s is nil if its stream is of no interest any more.
func (c *Conn) consumed(s *Stream, n int) {
	if c.unread += n; c.unread >= c.conf.ConnWindow/2 {
		c.out = appendUint32(c.out, frameWindowUpdate, 0, uint32(c.unread))
		c.owed += c.unread
		c.unread = 0
	}
	if s == nil || s.recvEnd || s.reset {
		return
	}
	if s.unread += n; s.unread >= c.conf.StreamWindow/2 {
		c.out = appendUint32(c.out, frameWindowUpdate, s.id, uint32(s.unread))
		s.unread = 0
	}
}

// start gives a stream, which begin has prepared, to a worker; mu is held.
func (c *Conn) start(w *worker) {
	w.at = len(c.serving)
	c.serving = append(c.serving, w)
	c.active, c.begun = true, true
	w.next <- true
}

// worker answers an idle worker; mu is held.
func (c *Conn) worker() *worker {
	if n := len(c.idle); n > 0 {
		w := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return w
	}
	w := &worker{Worker: c.newWorker(), next: make(chan bool, 1)}
	w.stream.c, w.stream.worker, w.stream.changed = c, w, sync.NewCond(&c.mu)
	c.workers.Go(func() {
		for <-w.next {
			w.Serve(&w.stream)
			c.finish(w)
		}
	})
	return w
}

// finish ends what a worker has served.
func (c *Conn) finish(w *worker) {
	s := &w.stream
	c.mu.Lock()
	c.active = true
	n := len(c.serving) - 1
	c.serving[w.at] = c.serving[n]
	c.serving[w.at].at = w.at
	c.serving = c.serving[:n]
	switch {
	case s.reset:
	case !s.sentEnd:
		c.queueReset(s, codeInternal)
	case !s.recvEnd: // the rest of the body is of no use
		c.queueReset(s, codeNo)
	}
	delete(c.streams, s.id)
	left := len(s.body) - s.off
	if s.body = s.body[:0]; cap(s.body) > keptRoom {
		s.body = nil
	}
	c.consumed(nil, left)
	switch {
	case c.closed:
		w.next <- false
	default:
		c.idle = append(c.idle, w)
	}
	c.flush()
	if c.last && len(c.serving) == 0 && !c.writing && len(c.out) == 0 {
		c.close()
	}
	c.mu.Unlock()
}

func (c *Conn) queueReset(s *Stream, code errorCode) {
	s.reset = true
	c.resets.note(s.id, c.conf.MaxStreams)
	c.out = appendUint32(c.out, frameReset, s.id, uint32(code))
}

// resetStream resets a stream for the client's fault.
func (c *Conn) resetStream(e streamError) error {
	c.mu.Lock()
	if !c.budget.take(1) {
		c.mu.Unlock()
		return errFlood
	}
	c.resets.note(e.id, c.conf.MaxStreams)
	c.out = appendUint32(c.out, frameReset, e.id, uint32(e.code))
	err := c.flushAside()
	w := c.giveUp(c.streams[e.id])
	c.mu.Unlock()
	if w != nil {
		w.Gone(e.id)
	}
	return err
}

// giveUp ends a stream, and answers the worker who must be told; mu is held.
func (c *Conn) giveUp(s *Stream) *worker {
	if s == nil {
		return nil
	}
	s.reset = true
	delete(c.streams, s.id)
	s.changed.Broadcast()
	return s.worker
}

// Busy says whether requests are being served.
func (c *Conn) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.serving) > 0
}

// Abort ends the connection at once.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}
