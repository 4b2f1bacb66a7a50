package request

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"millrace/whisk"
)

const (
	// Pause is how long a client may pause while it sends a body.
	Pause = time.Minute
	// MaxBody bounds bodies in bytes, whatever else bounds what is in them.
	MaxBody = 50 << 20
)

// reader reads a body whose sender must not pause for too long.
type reader struct {
	from  io.Reader
	conn  *http.ResponseController
	pause time.Duration
}

func (b *reader) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.pause)); err != nil {
		return 0, err
	}
	return b.from.Read(p)
}

// Body reads a body of at most limit bytes, whose sender pauses no longer than
// pause. tooLarge makes the error for a larger one, whose size is known only as
// far as it was announced or read; other errors are *whisk.Error too.
func Body(w http.ResponseWriter, r *http.Request, limit int64, pause time.Duration, tooLarge func(size int64) error) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(r.ContentLength)
	}
	from := reader{from: io.LimitReader(r.Body, limit+1), conn: http.NewResponseController(w), pause: pause}
	b, err := readGrowing(&from, r.ContentLength)
	if err == nil {
		err = from.conn.SetReadDeadline(time.Time{}) // whether the client is still there is noticed by reading
	}
	var refused *whisk.Error
	switch n := int64(len(b)); {
	case errors.As(err, &refused):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &whisk.Error{Status: http.StatusRequestTimeout, Msg: whisk.MsgBodyTooSlow, Err: err}
	case err != nil:
		return nil, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgMalformed("the body ended early"), Err: err}
	case n > limit:
		return nil, tooLarge(n)
	}
	return b, nil
}

// readGrowing reads all there is. A client gets memory for what it has sent, not
// for what it announces, and not more in the end than that.
func readGrowing(from io.Reader, announced int64) ([]byte, error) {
	const ahead = 64 << 10
	b := make([]byte, 0, min(max(announced, 0)+bytes.MinRead, ahead))
	for {
		if len(b) == cap(b) {
			size := 2 * len(b)
			if announced >= int64(len(b)) {
				size = min(size, int(announced)+bytes.MinRead)
			}
			b = append(make([]byte, 0, size), b...)
		}
		n, err := from.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// discardTime is how long the rest of an unwanted body may take.
const discardTime = 5 * time.Second

// Discard reads what is left of a refused request's body before the answer,
// which is still buffered, goes out: many clients read only when they have sent
// all, and net/http would close the connection on them.
func Discard(w http.ResponseWriter, r *http.Request) {
	// Who expects 100 Continue sends nothing before there is an answer.
	if r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(discardTime)); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, MaxBody) // the answer is made either way
}
