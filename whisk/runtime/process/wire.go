package process

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"millrace/whisk/runtime"
)

// The wire to an instance is two pipes: the instance reads requests from fd 3 and
// writes answers to fd 4. A frame is
//
//	size (4 bytes) of what follows the header, type (1 byte), call id (4 bytes),
//
// all numbers little endian. In a request follow two sections: the length of
// the first (4 bytes), what we say, and the rest, what the client gave. Nothing
// of the client's is ever part of text that we compose. In an answer follows its
// body.
//
//	ready    the interpreter is a stem cell
//	init     we say JSON {"main","dir","env"}; the client gave source text
//	run      we say seven texts separated by NUL: namespace, action, version,
//	         activation id, transaction id, deadline, key; the client gave JSON
//	ok       the call went well; also with an {"error"} of the action's own
//	failed   the body is {"error"}
//	refused  the sandbox could not be built; the body says why
const headerSize = 9

type frameType byte

const (
	frameReady frameType = 1 + iota
	frameInit
	frameRun
	frameOK
	frameFailed
	frameRefused
)

// errMalformed: an action wrote to the wire itself.
var errMalformed = errors.New("malformed frame")

// appendHead appends a request frame up to and without its second section, which
// is rest bytes long.
func appendHead(buf []byte, t frameType, id uint32, say []byte, rest int) []byte {
	buf = binary.LittleEndian.AppendUint32(buf, uint32(4+len(say)+rest))
	buf = append(buf, byte(t))
	buf = binary.LittleEndian.AppendUint32(buf, id)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(say)))
	return append(buf, say...)
}

// appendRun appends what we say of a call.
func appendRun(buf []byte, in *runtime.Run) []byte {
	buf = appendText(buf, in.Namespace)
	buf = appendText(append(buf, 0), in.Action)
	buf = appendText(append(buf, 0), in.Version)
	buf = appendText(append(buf, 0), in.ActivationID)
	buf = appendText(append(buf, 0), in.TransactionID)
	buf = append(buf, 0)
	if !in.Deadline.IsZero() {
		buf = strconv.AppendInt(buf, in.Deadline.UnixMilli(), 10)
	}
	return appendText(append(buf, 0), in.APIKey)
}

// appendText leaves out NUL, which would begin the next text and which no
// environment variable can hold.
func appendText(buf []byte, s string) []byte {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return append(buf, s...)
}

// smallRequest is up to where a request is copied to be written at once.
const smallRequest = 32 << 10

// writeRequest writes a frame; scratch is used to compose it and answered for
// the next time.
func writeRequest(w io.Writer, scratch []byte, t frameType, id uint32, say, rest []byte) ([]byte, error) {
	scratch = appendHead(scratch[:0], t, id, say, len(rest))
	if len(rest) <= smallRequest {
		scratch = append(scratch, rest...)
		_, err := w.Write(scratch)
		return scratch, err
	}
	if _, err := w.Write(scratch); err != nil {
		return scratch, err
	}
	_, err := w.Write(rest)
	return scratch, err
}

// answer is one frame from an instance. Size is the whole length of the body,
// of which Body holds at most the limit.
type answer struct {
	Type frameType
	ID   uint32
	Body []byte
	Size int
}

// frameReader reads answers. Memory is bounded by its limit whatever the other
// side sends.
type frameReader struct {
	r     io.Reader
	limit int
	buf   [4096]byte
	from  int // buf[from:to] is read and not yet used
	to    int
}

func newFrameReader(f *os.File, limit int) *frameReader { return &frameReader{r: f, limit: limit} }

// next answers the next frame. io.EOF: the other side has closed.
func (f *frameReader) next() (answer, error) {
	if err := f.need(headerSize); err != nil {
		return answer{}, err
	}
	head := f.buf[f.from:]
	a := answer{
		Size: int(binary.LittleEndian.Uint32(head)),
		Type: frameType(head[4]),
		ID:   binary.LittleEndian.Uint32(head[5:]),
	}
	f.from += headerSize
	if a.Type < frameReady || a.Type > frameRefused {
		return answer{}, errMalformed
	}
	a.Body = make([]byte, min(a.Size, f.limit))
	if err := f.read(a.Body); err != nil {
		return answer{}, err
	}
	return a, f.skip(a.Size - len(a.Body))
}

// need reads until n bytes are buffered.
func (f *frameReader) need(n int) error {
	if f.from == f.to {
		f.from, f.to = 0, 0
	} else if len(f.buf)-f.from < n {
		f.to = copy(f.buf[:], f.buf[f.from:f.to])
		f.from = 0
	}
	for f.to-f.from < n {
		m, err := f.r.Read(f.buf[f.to:])
		f.to += m
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *frameReader) read(p []byte) error {
	n := copy(p, f.buf[f.from:f.to])
	f.from += n
	_, err := io.ReadFull(f.r, p[n:])
	return err
}

// skip passes over n bytes, by way of the buffer.
func (f *frameReader) skip(n int) error {
	if n <= f.to-f.from {
		f.from += n
		return nil
	}
	n -= f.to - f.from
	f.from, f.to = 0, 0
	for n > 0 {
		m, err := f.r.Read(f.buf[:min(n, len(f.buf))])
		n -= m
		if err != nil {
			return err
		}
	}
	return nil
}
