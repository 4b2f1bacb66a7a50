package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/gateway/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds every wait.
const deadline = 30 * time.Second

// echo answers each request by its path: /echo with its body, /wait when the client has
// gone, /large with as much as the client takes, others with the path; /lingers does
// so too, and its worker is done when the client has gone.
type echo struct {
	mu   sync.Mutex
	gone map[uint32]chan struct{}
	id   uint32

	serving *atomic.Int64
	failed  *atomic.Int64
}

func (e *echo) Serve(s *Stream) {
	e.serving.Add(1)
	defer e.serving.Add(-1)
	gone := make(chan struct{})
	e.mu.Lock()
	e.id, e.gone = s.ID(), map[uint32]chan struct{}{s.ID(): gone}
	e.mu.Unlock()
	if s.GivenUp() {
		return
	}
	var r http1.Request
	if err := s.Head(&r); err != nil {
		s.Begin(400)
		_ = s.Send([]byte(err.Error()), true)
		return
	}
	s.Begin(200)
	s.Field([]byte("X-Host"), r.Host)
	switch path := string(r.Target); path {
	case "/echo":
		buf := make([]byte, 32<<10)
		for {
			n, err := s.Read(buf)
			if n > 0 && s.Send(buf[:n], false) != nil {
				return
			}
			if err == io.EOF {
				_ = s.End(s.Trailers())
				return
			}
			if err != nil {
				e.failed.Add(1)
				return
			}
		}
	case "/wait":
		<-gone
	case "/lingers":
		_ = s.Send([]byte(path), true)
		<-gone
	case "/large":
		for part := make([]byte, 64<<10); ; {
			if err := s.Send(part, false); err != nil {
				return
			}
		}
	default:
		_ = s.Send([]byte(path), true)
	}
}

func (e *echo) Gone(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.gone[id]; c != nil {
		close(c)
		delete(e.gone, id)
	}
}

func (e *echo) Check(int64) {}

// peer is a client that says what a proper one would not.
type peer struct {
	*testing.T
	conn    net.Conn
	framer  *xhttp2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32

	c               *Conn
	serving, failed atomic.Int64
	rested          atomic.Int64
	ended           chan struct{}
}

func testConfig() *Config {
	return &Config{
		MaxStreams: 10, MaxHeader: 32 << 10, StreamWindow: 128 << 10, ConnWindow: 256 << 10,
		Idle: time.Hour, First: time.Hour, Stalled: time.Hour, LastCall: time.Hour,
	}
}

// connect begins a connection; change may be nil.
func connect(t *testing.T, change func(*Config)) *peer {
	t.Helper()
	p := rawConnect(t, change)
	if _, err := io.WriteString(p.conn, Preface); err != nil {
		t.Fatal(err)
	}
	if err := p.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return p
}

func rawConnect(t *testing.T, change func(*Config)) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conf := testConfig()
	if change != nil {
		change(conf)
	}
	p := &peer{T: t, next: 1, ended: make(chan struct{})}
	if p.conn, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(deadline))
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p.framer = xhttp2.NewFramer(p.conn, p.conn)
	p.framer.AllowIllegalWrites = true
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encoder = hpack.NewEncoder(&p.block)
	p.c = New(server, conf)
	go func() {
		defer close(p.ended)
		for p.c.Serve(func() Worker { return &echo{serving: &p.serving, failed: &p.failed} }) {
			p.rested.Add(1)
		}
	}()
	t.Cleanup(func() {
		p.conn.Close()
		select {
		case <-p.ended:
		case <-time.After(deadline):
			t.Error("the connection is served on")
		}
	})
	return p
}

// fields are pairs; get is those of a plain request.
func get(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":path", path, ":authority", "h.com"}, more...)
}

func (p *peer) encode(pairs []string) []byte {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		if err := p.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
			p.Fatal(err)
		}
	}
	return p.block.Bytes()
}

// ask begins a request.
func (p *peer) ask(end bool, pairs ...string) uint32 {
	id := p.next
	p.next += 2
	p.headers(id, end, pairs)
	return id
}

func (p *peer) headers(id uint32, end bool, pairs []string) {
	p.Helper()
	// A connection that has been ended takes nothing: what it said is read.
	_ = p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(pairs), EndStream: end, EndHeaders: true})
}

// answered is what came on one stream.
type answered struct {
	status, host string
	body         []byte
	trailers     []hpack.HeaderField
	reset        xhttp2.ErrCode
	wasReset     bool
}

var errGoAway = errors.New("the connection was ended")

// wait reads until the stream has ended. When the connection ends, code says why.
func (p *peer) wait(id uint32) (a answered, code xhttp2.ErrCode, err error) {
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			return a, 0, err
		}
		if g, ok := f.(*xhttp2.GoAwayFrame); ok && g.ErrCode != 0 {
			return a, g.ErrCode, errGoAway
		}
		if f.Header().StreamID != id || id == 0 {
			continue
		}
		switch f := f.(type) {
		case *xhttp2.MetaHeadersFrame:
			if a.status == "" {
				a.status = f.PseudoValue("status")
				for _, h := range f.RegularFields() {
					if h.Name == "x-host" {
						a.host = h.Value
					}
				}
			} else {
				a.trailers = f.RegularFields()
			}
			if f.StreamEnded() {
				return a, 0, nil
			}
		case *xhttp2.DataFrame:
			a.body = append(a.body, f.Data()...)
			if n := uint32(len(f.Data())); n > 0 {
				_ = p.framer.WriteWindowUpdate(0, n)
				_ = p.framer.WriteWindowUpdate(id, n)
			}
			if f.StreamEnded() {
				return a, 0, nil
			}
		case *xhttp2.RSTStreamFrame:
			a.reset, a.wasReset = f.ErrCode, true
			return a, 0, nil
		}
	}
}

// works says that a plain request is answered.
func (p *peer) works() {
	p.Helper()
	id := p.ask(true, get("/works")...)
	if a, code, err := p.wait(id); err != nil || a.status != "200" || string(a.body) != "/works" {
		p.Errorf("the next request: %+v, %v, %v", a, code, err)
	}
}

// refused says that the connection ends with a code.
func (p *peer) refused(want xhttp2.ErrCode) {
	p.Helper()
	if _, code, err := p.wait(0); err != errGoAway || code != want {
		p.Errorf("ended with %v, %v, want %v", code, err, want)
	}
	p.conn.Close()
	select {
	case <-p.ended:
	case <-time.After(deadline):
		p.Error("the connection is served on")
	}
}

func TestRequests(t *testing.T) {
	p := connect(t, nil)
	p.works()
	id := p.ask(false, get("/echo", "content-length", "6")...)
	_ = p.framer.WriteData(id, false, []byte("abc"))
	_ = p.framer.WriteDataPadded(id, true, []byte("def"), make([]byte, 100))
	if a, _, err := p.wait(id); err != nil || string(a.body) != "abcdef" || a.host != "h.com" {
		t.Errorf("%+v %v", a, err)
	}
	id = p.ask(false, get("/echo")...)
	_ = p.framer.WriteData(id, false, []byte("abc"))
	p.headers(id, true, []string{"x-tail", "t"})
	if a, _, err := p.wait(id); err != nil || string(a.body) != "abc" || len(a.trailers) != 1 || a.trailers[0].Value != "t" {
		t.Errorf("with trailers: %+v %v", a, err)
	}
}

// Of a body, more than the windows passes.
func TestLargeBodies(t *testing.T) {
	p := connect(t, nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	id := p.ask(false, get("/echo")...)
	var window, all sync.Mutex
	open, changed := testConfig().StreamWindow, sync.NewCond(&window)
	all.Lock()
	go func() { // writes what the window allows
		defer all.Unlock()
		for rest := body; len(rest) > 0; {
			window.Lock()
			for open <= 0 {
				changed.Wait()
			}
			n := min(len(rest), open, maxFrame)
			open -= n
			window.Unlock()
			if p.conn.SetWriteDeadline(time.Now().Add(deadline)) != nil || xhttp2.NewFramer(p.conn, nil).WriteData(id, n == len(rest), rest[:n]) != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	reader := xhttp2.NewFramer(io.Discard, p.conn)
	answers := xhttp2.NewFramer(p.conn, nil)
	got := 0
	for got < len(body) {
		f, err := reader.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *xhttp2.WindowUpdateFrame:
			if f.StreamID == id {
				window.Lock()
				open += int(f.Increment)
				changed.Signal()
				window.Unlock()
			}
		case *xhttp2.DataFrame:
			if !bytes.Equal(f.Data(), body[got:got+len(f.Data())]) {
				t.Fatalf("other bytes at %d", got)
			}
			if got += len(f.Data()); len(f.Data()) > 0 {
				_ = answers.WriteWindowUpdate(0, uint32(len(f.Data())))
				_ = answers.WriteWindowUpdate(id, uint32(len(f.Data())))
			}
		}
	}
	all.Lock()
}

// What is no request costs its stream, and nothing else.
func TestMalformedRequests(t *testing.T) {
	p := connect(t, nil)
	for name, pairs := range map[string][]string{
		"capitals":                get("/", "X-Capital", "1"),
		"empty name":              get("/", "", "1"),
		"connection":              get("/", "connection", "close"),
		"keep-alive":              get("/", "keep-alive", "1"),
		"proxy-connection":        get("/", "proxy-connection", "close"),
		"transfer-encoding":       get("/", "transfer-encoding", "chunked"),
		"upgrade":                 get("/", "upgrade", "h2c"),
		"te":                      get("/", "te", "gzip"),
		"unknown pseudo-header":   get("/", ":protocol", "websocket"),
		"status":                  get("/", ":status", "200"),
		"pseudo-header behind":    {":method", "GET", ":scheme", "http", "a", "b", ":path", "/"},
		"two paths":               get("/", ":path", "/b"),
		"two methods":             get("/", ":method", "POST"),
		"no method":               {":scheme", "http", ":path", "/", ":authority", "h.com"},
		"no path":                 {":method", "GET", ":scheme", "http", ":authority", "h.com"},
		"empty path":              get(""),
		"no scheme":               {":method", "GET", ":path", "/", ":authority", "h.com"},
		"length that is none":     get("/", "content-length", "-1"),
		"length with sign":        get("/", "content-length", "+1"),
		"two lengths":             get("/", "content-length", "1", "content-length", "2"),
		"length but no body":      get("/", "content-length", "1"),
		"length beyond all bound": get("/", "content-length", "99999999999999999999"),
	} {
		id := p.ask(true, pairs...)
		if a, code, err := p.wait(id); err != nil || !a.wasReset || a.reset != xhttp2.ErrCodeProtocol {
			t.Errorf("%s: %+v %v %v", name, a, code, err)
		}
		p.works()
	}
	for name, send := range map[string]func(id uint32){
		"too much":         func(id uint32) { _ = p.framer.WriteData(id, false, []byte("abcdef")) },
		"too little":       func(id uint32) { _ = p.framer.WriteData(id, true, []byte("a")) },
		"too little, tail": func(id uint32) { p.headers(id, true, []string{"a", "b"}) },
		"pseudo-tail":      func(id uint32) { p.headers(id, true, []string{":path", "/"}) },
		"endless tail":     func(id uint32) { p.headers(id, false, []string{"a", "b"}) },
		"no window":        func(id uint32) { _ = p.framer.WriteWindowUpdate(id, 0) },
		"depends on itself": func(id uint32) {
			_ = p.framer.WritePriority(id, xhttp2.PriorityParam{StreamDep: id})
		},
	} {
		id := p.ask(false, get("/wait", "content-length", "3")...)
		send(id)
		if a, code, err := p.wait(id); err != nil || !a.wasReset || a.reset != xhttp2.ErrCodeProtocol {
			t.Errorf("%s: %+v %v %v", name, a, code, err)
		}
		p.works()
	}
}

// What nobody may send costs the connection.
func TestProtocolErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		send func(p *peer)
		want xhttp2.ErrCode
	}{
		"data of no stream":     {func(p *peer) { _ = p.framer.WriteData(0, true, nil) }, xhttp2.ErrCodeProtocol},
		"data of idle stream":   {func(p *peer) { _ = p.framer.WriteData(7, true, nil) }, xhttp2.ErrCodeProtocol},
		"stream of the server":  {func(p *peer) { p.headers(2, true, get("/")) }, xhttp2.ErrCodeProtocol},
		"header of no stream":   {func(p *peer) { p.headers(0, true, get("/")) }, xhttp2.ErrCodeProtocol},
		"continuation alone":    {func(p *peer) { _ = p.framer.WriteContinuation(1, true, nil) }, xhttp2.ErrCodeProtocol},
		"reset of idle stream":  {func(p *peer) { _ = p.framer.WriteRSTStream(9, 0) }, xhttp2.ErrCodeProtocol},
		"window of idle stream": {func(p *peer) { _ = p.framer.WriteWindowUpdate(9, 1) }, xhttp2.ErrCodeProtocol},
		"window of nothing":     {func(p *peer) { _ = p.framer.WriteWindowUpdate(0, 0) }, xhttp2.ErrCodeProtocol},
		"promise": {func(p *peer) {
			_ = p.framer.WritePushPromise(xhttp2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, xhttp2.ErrCodeProtocol},
		"push neither on nor off": {func(p *peer) { _ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 2}) }, xhttp2.ErrCodeProtocol},
		"frames too small":        {func(p *peer) { _ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 1}) }, xhttp2.ErrCodeProtocol},
		"window of 2^31": {func(p *peer) {
			_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 31})
		}, xhttp2.ErrCodeFlowControl},
		"windows over 2^31": {func(p *peer) {
			_ = p.framer.WriteWindowUpdate(0, 1<<31-1)
			_ = p.framer.WriteWindowUpdate(0, 1<<31-1)
		}, xhttp2.ErrCodeFlowControl},
		"settings cut short": {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FrameSettings, 0, 0, []byte{1}) }, xhttp2.ErrCodeFrameSize},
		"settings of stream": {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FrameSettings, 0, 1, nil) }, xhttp2.ErrCodeProtocol},
		"short ping":         {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FramePing, 0, 0, []byte{1}) }, xhttp2.ErrCodeFrameSize},
		"ping of stream":     {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FramePing, 0, 1, make([]byte, 8)) }, xhttp2.ErrCodeProtocol},
		"short reset":        {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FrameRSTStream, 0, 1, []byte{1}) }, xhttp2.ErrCodeFrameSize},
		"short window":       {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 0, []byte{1}) }, xhttp2.ErrCodeFrameSize},
		"long frame":         {func(p *peer) { _ = p.framer.WriteRawFrame(xhttp2.FrameData, 0, 1, make([]byte, maxFrame+1)) }, xhttp2.ErrCodeFrameSize},
		"padding too long": {func(p *peer) {
			_ = p.framer.WriteRawFrame(xhttp2.FrameHeaders, xhttp2.FlagHeadersPadded|xhttp2.FlagHeadersEndHeaders, 1, []byte{9, 1})
		}, xhttp2.ErrCodeProtocol},
		"odd compression": {func(p *peer) {
			_ = p.framer.WriteRawFrame(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndHeaders, 1, []byte{0xff, 0xff, 0xff, 0xff})
		}, xhttp2.ErrCodeCompression},
		"frame inside a header": {func(p *peer) {
			_ = p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get("/"))})
			_ = p.framer.WritePing(false, [8]byte{})
		}, xhttp2.ErrCodeProtocol},
		"header behind its request": {func(p *peer) {
			id := p.ask(true, get("/a")...)
			if _, _, err := p.wait(id); err == nil {
				p.headers(id, true, get("/b"))
			}
		}, xhttp2.ErrCodeStreamClosed},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, nil)
			tt.send(p)
			p.refused(tt.want)
		})
	}
}

// Floods end their connection, and bring nothing to grow meanwhile.
func TestFloods(t *testing.T) {
	header := func(p *peer, part []byte) {
		_ = p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get("/"))})
		for p.framer.WriteContinuation(1, false, part) == nil {
		}
	}
	for name, flood := range map[string]func(p *peer){
		"resets": func(p *peer) {
			for i := uint32(1); p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: i, BlockFragment: p.encode(get("/wait")), EndStream: true, EndHeaders: true}) == nil; i += 2 {
				if p.framer.WriteRSTStream(i, xhttp2.ErrCodeCancel) != nil {
					return
				}
			}
		},
		"pings": func(p *peer) {
			for p.framer.WritePing(false, [8]byte{}) == nil {
			}
		},
		"settings": func(p *peer) {
			for p.framer.WriteSettings() == nil {
			}
		},
		"priorities": func(p *peer) {
			for p.framer.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3}) == nil {
			}
		},
		"windows": func(p *peer) {
			for p.framer.WriteWindowUpdate(0, 1) == nil {
			}
		},
		"empty data": func(p *peer) {
			id := p.ask(false, get("/wait")...)
			for p.framer.WriteData(id, false, nil) == nil {
			}
		},
		"unknown frames": func(p *peer) {
			for p.framer.WriteRawFrame(77, 0, 0, nil) == nil {
			}
		},
		"malformed requests": func(p *peer) {
			for i := uint32(1); p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: i, BlockFragment: p.encode(get("")), EndStream: true, EndHeaders: true}) == nil; i += 2 {
			}
		},
		"windows of single bytes": func(p *peer) {
			_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
			id := p.ask(true, get("/large")...)
			for p.framer.WriteWindowUpdate(id, 1) == nil {
			}
		},
		"ends of a request that is answered": func(p *peer) {
			id := p.answered()
			for p.framer.WriteData(id, true, nil) == nil {
			}
		},
		"trailers of a request that is answered": func(p *peer) {
			id := p.answered()
			block := bytes.Clone(p.encode([]string{"x-tail", "t"}))
			for p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: true, EndHeaders: true}) == nil {
			}
		},
		"continuations":       func(p *peer) { header(p, []byte{0x82}) },
		"empty continuations": func(p *peer) { header(p, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, nil)
			done := make(chan struct{})
			go func() {
				defer close(done)
				flood(p)
			}()
			p.flooded()
			<-done
			if most := p.serving.Load(); most > int64(testConfig().MaxStreams) {
				t.Errorf("%d workers", most)
			}
		})
	}
}

// answered is a request that is answered before it has come whole.
func (p *peer) answered() uint32 {
	id := p.ask(false, get("/")...)
	p.eventually("the request is answered", func() bool { return p.c.maxID == id && len(p.c.serving) == 0 })
	return id
}

// flooded waits for the connection's end. The last frame may be lost to a client that
// does not stop sending.
func (p *peer) flooded() {
	p.Helper()
	reader := xhttp2.NewFramer(nil, p.conn)
	for {
		f, err := reader.ReadFrame()
		if g, ok := f.(*xhttp2.GoAwayFrame); err == nil && ok && g.ErrCode != xhttp2.ErrCodeEnhanceYourCalm {
			p.Errorf("ended with %v", g.ErrCode)
		}
		if err != nil {
			break
		}
	}
	p.conn.Close()
	select {
	case <-p.ended:
	case <-time.After(deadline):
		p.Error("the connection is served on")
	}
}

// Fields that take few bytes to send and many to keep make the header too large, and
// don't touch other requests.
func TestCompressionBomb(t *testing.T) {
	p := connect(t, nil)
	large := strings.Repeat("a", 3000)
	pairs := get("/", "x-bomb", large)
	for range 2000 {
		pairs = append(pairs, "x-bomb", large) // one byte each, from the table
	}
	id := p.ask(true, pairs...)
	if a, code, err := p.wait(id); err != nil || a.status != "400" {
		t.Errorf("%+v %v %v", a, code, err)
	}
	p.works()
}

// A client that has as many requests as it may is told to wait with more.
func TestTooManyStreams(t *testing.T) {
	p := connect(t, nil)
	var ids []uint32
	for range testConfig().MaxStreams {
		ids = append(ids, p.ask(true, get("/wait")...))
	}
	id := p.ask(true, get("/")...)
	if a, _, err := p.wait(id); err != nil || a.reset != xhttp2.ErrCodeRefusedStream {
		t.Errorf("%+v %v", a, err)
	}
	_ = p.framer.WriteRSTStream(ids[0], xhttp2.ErrCodeCancel)
	p.eventually("a worker has ended", func() bool { return len(p.c.serving) < len(ids) })
	p.works()
}

// Workers that have answered, and are not done yet, keep no request waiting: their
// clients cannot know of them.
func TestWorkersThatHaveAnswered(t *testing.T) {
	p := connect(t, nil)
	for range testConfig().MaxStreams {
		id := p.ask(true, get("/lingers")...)
		if a, _, err := p.wait(id); err != nil || a.status != "200" {
			t.Fatalf("%+v %v", a, err)
		}
	}
	p.works()
	for range 2 * testConfig().MaxStreams { // but there is an end of it
		p.ask(true, get("/lingers")...)
	}
	p.eventually("all have come", func() bool { return p.c.maxID == p.next-2 })
	p.c.mu.Lock()
	if n := len(p.c.serving); n > 2*testConfig().MaxStreams {
		t.Errorf("%d workers", n)
	}
	p.c.mu.Unlock()
}

// Of all requests that were answered before they had come whole, the rest may still be
// under way.
func TestRestOfAnsweredRequests(t *testing.T) {
	p := connect(t, func(c *Config) { c.MaxStreams = 100 })
	var ids []uint32
	for range 100 {
		ids = append(ids, p.answered())
	}
	for _, id := range ids {
		_ = p.framer.WriteData(id, false, []byte("x"))
		p.headers(id, true, []string{"x-tail", "t"})
	}
	p.works()
}

// A client that wants a smaller table is told, once, that there is none.
func TestTableSize(t *testing.T) {
	p := rawConnect(t, nil)
	p.framer.ReadMetaHeaders = nil
	if _, err := io.WriteString(p.conn, Preface); err != nil {
		t.Fatal(err)
	}
	_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 1 << 16})
	for i, c := range []struct {
		size uint32
		told bool
	}{{1 << 16, false}, {100, true}, {100, false}, {0, false}, {4096, false}} {
		_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: c.size})
		id := p.ask(true, get("/")...)
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*xhttp2.HeadersFrame); ok && h.StreamID == id {
				if told := h.HeaderBlockFragment()[0] == 0x20; told != c.told {
					t.Errorf("%d: told %v", i, told)
				}
				break
			}
		}
	}
}

// eventually polls until done, which is called with the connection's lock held.
func (p *peer) eventually(what string, done func() bool) {
	p.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		p.c.mu.Lock()
		ok := done()
		p.c.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			p.Fatalf("waited in vain for: %s", what)
		}
	}
}

// A client may not send more than the windows, whether its body is read or not.
func TestWindowsOfBodies(t *testing.T) {
	p := connect(t, nil)
	id := p.ask(false, get("/wait")...)
	part := make([]byte, maxFrame)
	for range testConfig().StreamWindow / maxFrame {
		_ = p.framer.WriteData(id, false, part)
	}
	p.works()
	_ = p.framer.WriteData(id, false, []byte("x"))
	if a, _, err := p.wait(id); err != nil || a.reset != xhttp2.ErrCodeFlowControl {
		t.Errorf("%+v %v", a, err)
	}
	p.works()
	p.eventually("what was not read has been given back", func() bool { return p.c.owed+p.c.unread == testConfig().ConnWindow })
}

// An answer stops at the client's windows, and goes on when they open.
func TestWindowsOfAnswers(t *testing.T) {
	p := connect(t, nil)
	_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 3})
	id := p.ask(true, get("/0123456789")...)
	var body []byte
	for len(body) < 11 {
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*xhttp2.DataFrame); ok {
			if len(d.Data()) > 3 {
				t.Errorf("%d bytes for a window of 3", len(d.Data()))
			}
			if body = append(body, d.Data()...); len(d.Data()) > 0 {
				_ = p.framer.WriteWindowUpdate(id, uint32(len(d.Data())))
			}
		}
	}
	if string(body) != "/0123456789" {
		t.Errorf("%q", body)
	}
	_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: defaultWindow})
	p.works()
}

// A client that reads nothing is left when its time is over, and what waits to be sent
// to it is bounded.
func TestClientThatReadsNothing(t *testing.T) {
	p := connect(t, func(c *Config) { c.Stalled = time.Minute })
	_ = p.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: maxWindow})
	_ = p.framer.WriteWindowUpdate(0, maxWindow-defaultWindow)
	for range 3 {
		p.ask(true, get("/large")...)
	}
	p.eventually("the client's buffers are full", func() bool { return p.c.full && p.c.writing })
	p.c.mu.Lock()
	if n := len(p.c.out); n > 2*maxQueue {
		t.Errorf("%d bytes wait", n)
	}
	p.c.mu.Unlock()
	for now := int64(1); ; now += time.Minute.Milliseconds() / 2 {
		p.c.Check(now)
		select {
		case <-p.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestShutdown(t *testing.T) {
	p := connect(t, func(c *Config) { c.LastCall = time.Second })
	p.works()
	id := p.ask(false, get("/echo")...)
	p.c.Shutdown()
	other := p.ask(true, get("/late")...)
	if a, _, err := p.wait(other); err != nil || string(a.body) != "/late" {
		t.Errorf("begun before the client could know: %+v, %v", a, err)
	}
	p.c.Check(1)
	p.c.Check(5000)
	refused := p.ask(true, get("/too-late")...)
	if a, _, err := p.wait(refused); err != nil || a.reset != xhttp2.ErrCodeRefusedStream {
		t.Errorf("begun too late: %+v, %v", a, err)
	}
	_ = p.framer.WriteData(id, true, []byte("abc"))
	if a, _, err := p.wait(id); err != nil || string(a.body) != "abc" {
		t.Errorf("under way: %+v, %v", a, err)
	}
	for now := int64(6000); ; now += 100 {
		p.c.Check(now)
		select {
		case <-p.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// Connections end that are idle, and those on which nothing is asked.
func TestIdle(t *testing.T) {
	for name, begin := range map[string]func(p *peer){"used": func(p *peer) { p.works() }, "unused": func(*peer) {}} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, func(c *Config) { c.Idle, c.First = time.Minute, time.Minute })
			begin(p)
			for now := int64(1); ; now += 10_000 {
				p.c.Check(now)
				select {
				case <-p.ended:
					if now < 60_000 {
						t.Errorf("ended after %d ms", now)
					}
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
}

func TestNoPreface(t *testing.T) {
	p := rawConnect(t, nil)
	_, _ = io.WriteString(p.conn, strings.Repeat("x", len(Preface)))
	p.refused(xhttp2.ErrCodeProtocol)
}

// A request that is broken off ends what reads its body.
func TestClientGoesAway(t *testing.T) {
	p := connect(t, nil)
	p.ask(true, get("/wait")...)
	_ = p.framer.WriteData(p.ask(false, get("/echo")...), false, []byte("a"))
	for echoed := false; !echoed; { // so its body is being read
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		echoed = f.Header().Type == xhttp2.FrameData
	}
	p.conn.Close()
	select {
	case <-p.ended:
	case <-time.After(deadline):
		t.Fatal("the connection is served on")
	}
	if p.serving.Load() != 0 || p.failed.Load() != 1 {
		t.Errorf("%d serve, %d failed", p.serving.Load(), p.failed.Load())
	}
}

func FuzzConn(f *testing.F) {
	var b bytes.Buffer
	framer := xhttp2.NewFramer(&b, nil)
	_ = framer.WriteSettings()
	p := &peer{}
	p.encoder = hpack.NewEncoder(&p.block)
	_ = framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(get("/echo")), EndHeaders: true})
	_ = framer.WriteData(1, true, []byte("abc"))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, sent []byte) {
		client, server := net.Pipe()
		var serving, failed atomic.Int64
		c := New(server, testConfig())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Serve(func() Worker { return &echo{serving: &serving, failed: &failed} })
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_, _ = client.Write(append([]byte(Preface), sent...))
		client.Close()
		<-done
	})
}
