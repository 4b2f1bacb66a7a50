package http1

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// The end never comes with the last bytes: who stops at it would lose them.
func TestEndComesAlone(t *testing.T) {
	const body = "0123456789"
	for name, test := range map[string]struct {
		length int64
		sent   string
	}{
		"close":   {LengthClose, body},
		"length":  {int64(len(body)), body},
		"chunked": {LengthChunked, "a\r\n" + body + "\r\n0\r\n\r\n"},
	} {
		r := NewReader(iotest.DataErrReader(strings.NewReader(test.sent)), 16)
		r.SetBody(test.length)
		var got []byte
		buf := make([]byte, 4<<10) // more than a read goes into the reader's own room for
		for {
			n, err := r.Read(buf)
			got = append(got, buf[:n]...)
			if n > 0 && err != nil {
				t.Errorf("%s: %d bytes come with %v", name, n, err)
			}
			if err != nil {
				if err != io.EOF || !r.BodyDone() {
					t.Errorf("%s: ended with %v, done: %v", name, err, r.BodyDone())
				}
				break
			}
		}
		if string(got) != body {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
