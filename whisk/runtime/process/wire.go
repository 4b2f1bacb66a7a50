package process

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"millrace/internal/rawio"
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

	// What ask needs: the pipes, and the request that it is sending.
	req, ans  syscall.RawConn
	reqFile   *os.File
	request   []byte
	rest      []byte
	sent      bool
	err       error
	step      func(fd uintptr) bool
	writeStep func(fd uintptr) bool
}

func newFrameReader(req, ans *os.File, limit int) (*frameReader, error) {
	f := &frameReader{r: ans, limit: limit, reqFile: req}
	f.step, f.writeStep = f.askStep, f.askWrite
	var err error
	if f.req, err = req.SyscallConn(); err != nil {
		return nil, err
	}
	f.ans, err = ans.SyscallConn()
	return f, err
}

// ask sends a request, in two parts, and reads the next frame. It prepares to
// wait before it sends, so that it need not try a read that finds nothing yet.
func (f *frameReader) ask(request, rest []byte) (answer, error) {
	if f.from != f.to {
		return answer{}, errMalformed // it came unasked
	}
	f.request, f.rest, f.sent, f.err = request, rest, false, nil
	f.from, f.to = 0, 0
	err := f.ans.Read(f.step)
	f.request, f.rest = nil, nil
	if err != nil {
		return answer{}, err
	}
	if f.err != nil {
		return answer{}, f.err
	}
	return f.next()
}

// askStep sends when it is called first, and reads when something has come. It
// tells whether it is done.
func (f *frameReader) askStep(fd uintptr) bool {
	if !f.sent {
		f.sent = true
		f.err = f.send()
		return f.err != nil
	}
	n, errno := rawio.Read(fd, f.buf[:])
	switch {
	case errno == syscall.EAGAIN, errno == syscall.EINTR:
		return false
	case errno != 0:
		f.err = errno
	case n == 0:
		f.err = io.EOF
	}
	f.to = n
	return true
}

func (f *frameReader) send() error {
	if err := f.req.Write(f.writeStep); err != nil {
		return err
	}
	for _, part := range [][]byte{f.request, f.rest} {
		if len(part) > 0 {
			if _, err := f.reqFile.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// askWrite writes what fits into the pipe at once, which is all of a usual
// request. What does not is left for a write that waits and words its error.
func (f *frameReader) askWrite(fd uintptr) bool {
	n, _ := rawio.Write(fd, f.request)
	f.request = f.request[n:]
	return true
}

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
