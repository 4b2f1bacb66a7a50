package http2

import (
	"encoding/binary"
	"io"
)

type frameType uint8

const (
	frameData         frameType = 0
	frameHeaders      frameType = 1
	framePriority     frameType = 2
	frameReset        frameType = 3
	frameSettings     frameType = 4
	framePushPromise  frameType = 5
	framePing         frameType = 6
	frameGoAway       frameType = 7
	frameWindowUpdate frameType = 8
	frameContinuation frameType = 9
)

// Flags of frames.
const (
	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	frameHead = 9
	// maxFrame is the longest payload that is read, and that is sent to clients which
	// have not asked for more; none is sent a longer one.
	maxFrame      = 16 << 10
	defaultWindow = 1<<16 - 1
	maxWindow     = 1<<31 - 1
)

// frame is one that was read; its payload is valid until the next one is read.
type frame struct {
	kind    frameType
	flags   uint8
	id      uint32
	payload []byte
}

// frameReader reads frames with as few calls of the connection as possible.
type frameReader struct {
	src  io.Reader
	buf  []byte
	r, w int
}

const (
	smallRead = 4 << 10
	largeRead = 2 * (frameHead + maxFrame)
)

// next reads a frame. An error that is no connError is the connection's.
func (f *frameReader) next() (frame, error) {
	head, err := f.take(frameHead)
	if err != nil {
		return frame{}, err
	}
	fr := frame{kind: frameType(head[3]), flags: head[4], id: binary.BigEndian.Uint32(head[5:]) & maxWindow}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if n > maxFrame {
		return frame{}, connError{codeFrameSize, "a frame too long"}
	}
	fr.payload, err = f.take(n)
	return fr, err
}

// empty says that nothing has been read beyond the last frame.
func (f *frameReader) empty() bool { return f.r == f.w }

// take answers the next n bytes.
func (f *frameReader) take(n int) ([]byte, error) {
	for f.w-f.r < n {
		if err := f.fill(n); err != nil {
			return nil, err
		}
	}
	b := f.buf[f.r : f.r+n]
	f.r += n
	return b, nil
}

func (f *frameReader) fill(n int) error {
	if f.r == f.w {
		f.r, f.w = 0, 0
	}
	switch {
	case n > len(f.buf) || f.w == len(f.buf) && f.r == 0:
		size := smallRead
		if n > smallRead || len(f.buf) > 0 {
			size = largeRead
		}
		buf := make([]byte, size)
		f.w = copy(buf, f.buf[f.r:f.w])
		f.buf, f.r = buf, 0
	case f.r+n > len(f.buf):
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	m, err := f.src.Read(f.buf[f.w:])
	f.w += m
	if m > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func appendFrameHead(dst []byte, n int, kind frameType, flags uint8, id uint32) []byte {
	return append(dst, byte(n>>16), byte(n>>8), byte(n), byte(kind), flags,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendUint32(dst []byte, kind frameType, id, value uint32) []byte {
	dst = appendFrameHead(dst, 4, kind, 0, id)
	return binary.BigEndian.AppendUint32(dst, value)
}

// setting is a parameter of SETTINGS.
type setting uint16

const (
	settingHeaderTable   setting = 1
	settingEnablePush    setting = 2
	settingMaxStreams    setting = 3
	settingInitialWindow setting = 4
	settingMaxFrame      setting = 5
	settingMaxHeaderList setting = 6
)

func appendSetting(dst []byte, s setting, value uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(s))
	return binary.BigEndian.AppendUint32(dst, value)
}

// unpad takes the padding off a payload.
func (f *frame) unpad() error {
	if f.flags&flagPadded == 0 {
		return nil
	}
	if len(f.payload) == 0 || int(f.payload[0]) >= len(f.payload) {
		return connError{codeProtocol, "padding longer than its frame"}
	}
	f.payload = f.payload[1 : len(f.payload)-int(f.payload[0])]
	return nil
}
