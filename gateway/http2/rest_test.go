package http2

import (
	"bytes"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// rests lets the connection rest, and has it served again; it does not rest while busy
// is called.
func (p *peer) rests(now int64, busy func()) {
	p.Helper()
	asking := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(asking)
		for {
			select {
			case <-stop:
				return
			default:
			}
			p.c.Check(now)
			p.c.Rest(now, 0)
			time.Sleep(time.Millisecond)
		}
	}()
	busy()
	p.eventually("rest", func() bool { return p.rested.Load() > 0 })
	close(stop)
	<-asking
	p.rested.Store(0)
}

// A connection that rests goes on where it was: its numbers, its windows, and what its
// compression has learnt.
func TestRest(t *testing.T) {
	p := connect(t, nil)
	for now := int64(1); now < 5; now++ {
		p.rests(now, func() {})
		id := p.ask(true, get("/again", "x-learnt", "value")...)
		if a, code, err := p.wait(id); err != nil || a.status != "200" || string(a.body) != "/again" {
			t.Errorf("%+v, %v, %v", a, code, err)
		}
	}
}

// Neither a request under way nor a frame in parts is disturbed.
func TestRestWaits(t *testing.T) {
	p := connect(t, nil)
	p.rests(1, func() {
		id := p.ask(false, get("/echo")...)
		for range 20 {
			time.Sleep(time.Millisecond)
			_ = p.framer.WriteData(id, false, []byte("a"))
		}
		_ = p.framer.WriteData(id, true, nil)
		if a, _, err := p.wait(id); err != nil || len(a.body) != 20 {
			t.Errorf("%+v, %v", a, err)
		}
	})
	p.rests(2, func() {
		var frame bytes.Buffer
		_ = xhttp2.NewFramer(&frame, nil).WritePing(false, [8]byte{1})
		for _, b := range frame.Bytes() {
			if _, err := p.conn.Write([]byte{b}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		p.works()
	})
	block := p.encode(get("/parts"))
	p.rests(3, func() {
		id := p.next
		p.next += 2
		_ = p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block[:2], EndStream: true})
		time.Sleep(10 * time.Millisecond)
		_ = p.framer.WriteContinuation(id, true, block[2:])
		if a, _, err := p.wait(id); err != nil || string(a.body) != "/parts" {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// A connection that ends does not rest before.
func TestShed(t *testing.T) {
	p := connect(t, nil)
	if p.c.Shed(1) {
		t.Error("shed before its first request")
	}
	p.works()
	for giveUp := time.Now().Add(deadline); !p.c.Shed(1); time.Sleep(time.Millisecond) {
		if time.Now().After(giveUp) {
			t.Fatal("not shed after its request")
		}
	}
	p.c.Rest(time.Hour.Milliseconds(), 0)
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if g, ok := f.(*xhttp2.GoAwayFrame); ok {
			if g.ErrCode != 0 || g.LastStreamID != p.next-2 {
				t.Errorf("%v", g)
			}
			break
		}
	}
	for giveUp := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		p.c.Check(1)
		select {
		case <-p.ended:
			return
		default:
		}
		if time.Now().After(giveUp) {
			t.Fatal("not ended")
		}
	}
}
