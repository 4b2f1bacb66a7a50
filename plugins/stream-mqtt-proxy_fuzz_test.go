package plugins

import (
	"errors"
	"testing"
)

// bytesAhead is a client that sends some bytes and nothing else.
type bytesAhead []byte

var errNoMore = errors.New("no more")

func (b bytesAhead) Peek(n int) ([]byte, error) {
	if n > len(b) {
		return nil, errNoMore
	}
	return b[:n], nil
}

// Whatever a client sends is read without harm, and bytes after the packet change
// nothing.
func FuzzReadConnect(f *testing.F) {
	f.Add([]byte("\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03foo"))
	f.Add([]byte("\x10\x15\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x0a\x00\x03foo"))
	f.Add([]byte("\x10\x80\x80\x80\x80\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		packet, err := readConnect(bytesAhead(b))
		if err != nil {
			return
		}
		if len(packet.name)+len(packet.clientID) > len(b) || b[0] != 0x10 {
			t.Errorf("%+v comes of %q", packet, b)
		}
		if again, err := readConnect(append(bytesAhead(b), "more"...)); err != nil || again != packet {
			t.Errorf("with more behind it: %+v, %v", again, err)
		}
	})
}
