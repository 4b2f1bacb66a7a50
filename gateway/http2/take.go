package http2

import (
	"encoding/binary"
	"fmt"
	"io"

	"millrace/gateway/http1"
)

// take does what a frame says. A streamError ends its stream, other errors the
// connection.
func (c *Conn) take(f *frame) error {
	if c.headID != 0 && (f.kind != frameContinuation || f.id != c.headID) {
		return connError{codeProtocol, "a frame inside a header"}
	}
	if !c.greeted {
		if f.kind != frameSettings || f.flags&flagAck != 0 {
			return connError{codeProtocol, "the first frame is no settings"}
		}
		c.greeted = true
	}
	switch f.kind {
	case frameData:
		return c.takeData(f)
	case frameHeaders:
		return c.takeHeaders(f)
	case frameContinuation:
		if c.headID == 0 {
			return connError{codeProtocol, "a continuation of nothing"}
		}
		return c.takeBlock(f)
	case frameReset:
		return c.takeReset(f)
	case frameWindowUpdate:
		return c.takeWindow(f)
	case frameSettings:
		return c.takeSettings(f)
	}
	return c.takeOther(f)
}

// takeOther takes frames that change little, each of which costs.
func (c *Conn) takeOther(f *frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.budget.take(1) {
		return errFlood
	}
	switch f.kind {
	case framePing:
		switch {
		case f.id != 0:
			return connError{codeProtocol, "a ping of a stream"}
		case len(f.payload) != 8:
			return connError{codeFrameSize, "a ping that is not 8 bytes"}
		case f.flags&flagAck != 0:
			return nil
		}
		c.out = appendFrameHead(c.out, 8, framePing, flagAck, 0)
		c.out = append(c.out, f.payload...)
		return c.flushAside()
	case framePriority:
		if f.id == 0 {
			return connError{codeProtocol, "a priority of no stream"}
		}
		if len(f.payload) != 5 {
			return streamError{f.id, codeFrameSize}
		}
		return dependsOnItself(f.id, f.payload)
	case frameGoAway:
		if f.id != 0 {
			return connError{codeProtocol, "an end of a stream"}
		}
		c.last = true
		if len(c.serving) == 0 {
			return io.EOF
		}
	case framePushPromise:
		return connError{codeProtocol, "a promise by a client"}
	}
	return nil
}

func dependsOnItself(id uint32, priority []byte) error {
	if binary.BigEndian.Uint32(priority)&maxWindow == id {
		return streamError{id, codeProtocol}
	}
	return nil
}

// takeData keeps a part of a body for who reads it.
func (c *Conn) takeData(f *frame) error {
	n := len(f.payload) // padding counts
	if f.id == 0 {
		return connError{codeProtocol, "data of no stream"}
	}
	if err := f.unpad(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.id > c.maxID {
		return connError{codeProtocol, "data of a stream that has not begun"}
	}
	if c.owed -= n; c.owed < 0 {
		return connError{codeFlowControl, "more data than the window"}
	}
	s := c.streams[f.id]
	if len(f.payload) == 0 && (f.flags&flagEndStream == 0 || s == nil) && !c.budget.take(1) {
		return errFlood
	}
	if s == nil || s.recvEnd {
		c.consumed(nil, n)
		if err := c.flushAside(); err != nil {
			return err
		}
		if s == nil && c.resets.has(f.id) {
			return nil // it was under way
		}
		return streamError{f.id, codeStreamClosed}
	}
	if len(s.body)-s.off+s.unread+n > c.conf.StreamWindow {
		c.consumed(nil, n)
		return streamError{f.id, codeFlowControl}
	}
	s.take(f.payload)
	if pad := n - len(f.payload); pad > 0 {
		c.consumed(s, pad)
	}
	if f.flags&flagEndStream != 0 {
		s.recvEnd = true
	}
	if h := s.head.length; h >= 0 && (s.received > h || s.recvEnd && s.received < h) {
		return streamError{f.id, codeProtocol}
	}
	s.changed.Broadcast()
	return c.flushAside()
}

// take keeps a part of the body.
func (s *Stream) take(part []byte) {
	if s.off > 0 && len(s.body)+len(part) > cap(s.body) {
		s.body = s.body[:copy(s.body, s.body[s.off:])]
		s.off = 0
	}
	s.body = append(s.body, part...)
	s.received += int64(len(part))
}

// takeHeaders begins a request or its trailers.
func (c *Conn) takeHeaders(f *frame) error {
	if f.id&1 == 0 {
		return connError{codeProtocol, "a stream that is no client's"}
	}
	if err := f.unpad(); err != nil {
		return err
	}
	self := false
	if f.flags&flagPriority != 0 {
		if len(f.payload) < 5 {
			return connError{codeFrameSize, "a header too short"}
		}
		self = dependsOnItself(f.id, f.payload) != nil
		f.payload = f.payload[5:]
	}
	if err := c.mayBegin(f); err != nil {
		return err
	}
	c.headID, c.headLen, c.headEnd = f.id, 0, f.flags&flagEndStream != 0
	c.head.malformed = self
	return c.takeBlock(f)
}

// mayBegin looks whether a header may stand where it does, and prepares for it.
func (c *Conn) mayBegin(f *frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head.reset()
	if f.id > c.maxID {
		c.maxID = f.id
		return nil
	}
	s := c.streams[f.id]
	switch {
	case s == nil && c.resets.has(f.id): // it was under way; the compression state needs it
		c.head.isTrailer = true
	case s == nil:
		return connError{codeStreamClosed, "a header of a stream that has ended"}
	case s.recvEnd:
		return connError{codeStreamClosed, "a header behind the end of its request"}
	}
	c.head.isTrailer = true
	return nil
}

// takeBlock decodes a part of a header. Whatever is wrong with the request, its fields
// are decoded to the end, as they are part of the compression state.
func (c *Conn) takeBlock(f *frame) error {
	if c.headLen += frameHead + len(f.payload); c.headLen > 2*c.conf.MaxHeader {
		return connError{codeEnhanceYourCalm, "a header too long"}
	}
	if _, err := c.decoder.Write(f.payload); err != nil {
		return connError{codeCompression, fmt.Sprintf("decoding a header: %v", err)}
	}
	if f.flags&flagEndHeaders == 0 {
		return nil
	}
	c.headID = 0
	if err := c.decoder.Close(); err != nil {
		return connError{codeCompression, fmt.Sprintf("decoding a header: %v", err)}
	}
	if c.head.isTrailer {
		return c.endRequest(f.id)
	}
	return c.beginRequest(f.id)
}

// endRequest takes trailers.
func (c *Conn) endRequest(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	switch {
	case s == nil && !c.budget.take(1):
		return errFlood
	case s == nil:
		return nil
	case !c.headEnd || c.head.malformed || c.head.tooLarge || s.head.length >= 0 && s.received != s.head.length:
		return streamError{id, codeProtocol}
	}
	s.recvEnd = true
	s.trailers = append([]http1.Field(nil), c.head.fields...)
	s.changed.Broadcast()
	return nil
}

// beginRequest hands a request to a worker.
func (c *Conn) beginRequest(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.refusing, !c.mayServe():
		return streamError{id, codeRefusedStream}
	case !c.head.tooLarge && !c.head.complete(c.headEnd):
		return streamError{id, codeProtocol}
	}
	w := c.worker()
	s := &w.stream
	s.begin(id, c.newWindow)
	s.head, c.head = c.head, s.head
	s.recvEnd = c.headEnd
	c.streams[id] = s
	c.start(w)
	return nil
}

// mayServe says whether another request may begin. A worker that has answered counts
// no more for the client, who cannot know of it, but does not come in any number;
// mu is held.
func (c *Conn) mayServe() bool {
	n := len(c.serving)
	if n < c.conf.MaxStreams || n >= 2*c.conf.MaxStreams {
		return n < c.conf.MaxStreams
	}
	for _, w := range c.serving {
		if w.stream.sentEnd && w.stream.recvEnd {
			n--
		}
	}
	return n < c.conf.MaxStreams
}

// takeReset ends a stream that the client has given up.
func (c *Conn) takeReset(f *frame) error {
	c.mu.Lock()
	var err error
	switch {
	case len(f.payload) != 4:
		err = connError{codeFrameSize, "a reset that is not 4 bytes"}
	case f.id == 0 || f.id > c.maxID:
		err = connError{codeProtocol, "a reset of no stream"}
	case !c.budget.take(resetCost):
		err = errFlood
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	w := c.giveUp(c.streams[f.id])
	c.mu.Unlock()
	if w != nil {
		w.Gone(f.id)
	}
	return nil
}

// resetCost is what a reset takes of the budget: a request was begun for nothing.
const resetCost = 4

// takeWindow lets more be sent.
func (c *Conn) takeWindow(f *frame) error {
	if len(f.payload) != 4 {
		return connError{codeFrameSize, "a window that is not 4 bytes"}
	}
	n := int(binary.BigEndian.Uint32(f.payload) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.budget.take(1) {
		return errFlood
	}
	if f.id == 0 {
		switch {
		case n == 0:
			return connError{codeProtocol, "a window opened by nothing"}
		case c.window+n > maxWindow:
			return connError{codeFlowControl, "too wide a window"}
		}
		if c.window += n; c.window <= n {
			c.wake()
		}
		return nil
	}
	s := c.streams[f.id]
	switch {
	case f.id > c.maxID:
		return connError{codeProtocol, "a window of a stream that has not begun"}
	case n == 0:
		return streamError{f.id, codeProtocol}
	case s == nil:
		return nil
	case s.window+n > maxWindow:
		return streamError{f.id, codeFlowControl}
	}
	s.window += n
	s.changed.Broadcast()
	return nil
}

// takeSettings does what the client asks for.
func (c *Conn) takeSettings(f *frame) error {
	switch {
	case f.id != 0:
		return connError{codeProtocol, "settings of a stream"}
	case f.flags&flagAck != 0 && len(f.payload) > 0, len(f.payload)%6 != 0:
		return connError{codeFrameSize, "settings cut short"}
	case f.flags&flagAck != 0:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.budget.take(1 + len(f.payload)/6) {
		return errFlood
	}
	for p := f.payload; len(p) > 0; p = p[6:] {
		if err := c.takeSetting(setting(binary.BigEndian.Uint16(p)), int(binary.BigEndian.Uint32(p[2:]))); err != nil {
			return err
		}
	}
	c.out = appendFrameHead(c.out, 0, frameSettings, flagAck, 0)
	return c.flushAside()
}

func (c *Conn) takeSetting(s setting, value int) error {
	switch {
	case s == settingEnablePush && value > 1:
		return connError{codeProtocol, "push is neither on nor off"}
	case s == settingMaxFrame && (value < maxFrame || value >= 1<<24):
		return connError{codeProtocol, "an odd size of frames"}
	case s == settingHeaderTable:
		c.tables.limit(value)
	case s == settingInitialWindow && value > maxWindow:
		return connError{codeFlowControl, "too wide a window"}
	case s == settingInitialWindow:
		for _, st := range c.streams {
			if st.window += value - c.newWindow; st.window > maxWindow {
				return connError{codeFlowControl, "too wide a window"}
			}
		}
		c.newWindow = value
		c.wake()
	}
	return nil
}
