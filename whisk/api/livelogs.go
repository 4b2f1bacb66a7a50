package api

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"millrace/activation"
	"millrace/whisk"
)

// How many streams of logs may be open, for one namespace and in all.
const (
	maxFollowersOfOne = 64
	maxFollowers      = 1024
)

const (
	// queuedLook is how often a stream looks whether a queued call runs.
	queuedLook = 100 * time.Millisecond
	// followerPause is how long a client may take to read what it is sent.
	followerPause = 30 * time.Second
)

// followers counts the open streams of logs.
type followers struct {
	mu    sync.Mutex
	all   int
	of    map[string]int
	ended bool
	end   chan struct{} // closed when all streams are to end
}

// enter counts a stream in, or answers the *whisk.Error 429. leave must be called
// at its end; stop is closed when it has to come to one.
func (f *followers) enter(namespace string) (stop <-chan struct{}, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init()
	if n := f.of[namespace]; n >= maxFollowersOfOne {
		return nil, nil, tooManyFollowers(n, maxFollowersOfOne)
	}
	if f.all >= maxFollowers {
		return nil, nil, tooManyFollowers(f.all, maxFollowers)
	}
	f.of[namespace]++
	f.all++
	return f.end, func() { f.leave(namespace) }, nil
}

func (f *followers) init() {
	if f.of == nil {
		f.of, f.end = map[string]int{}, make(chan struct{})
	}
}

func (f *followers) leave(namespace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all--
	if f.of[namespace]--; f.of[namespace] == 0 {
		delete(f.of, namespace)
	}
}

func tooManyFollowers(count, allowed int) *whisk.Error {
	return &whisk.Error{Status: http.StatusTooManyRequests, Msg: whisk.MsgTooManyFollowed(count, allowed)}
}

// EndStreams ends the streams of logs that are open, and those that come: a
// server that waits for its requests to end would wait for them.
func (a *API) EndStreams() {
	f := &a.followers
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init()
	if !f.ended {
		f.ended = true
		close(f.end)
	}
}

// serveLogs answers the logs of an activation: as a document, or with follow=true
// as a stream of events while the call runs.
func (a *API) serveLogs(w http.ResponseWriter, r *http.Request) {
	x := w.(*exchange)
	out, stream, err := a.logs(x, r)
	if err != nil || stream == nil {
		a.write(x, out, err)
		return
	}
	stream.run()
}

func (a *API) logs(x *exchange, r *http.Request) (out answer, s *logStream, err error) {
	if err := x.resolve(r); err != nil {
		return out, nil, err
	}
	follow, err := queryBool(r.URL.Query(), "follow", false)
	if err != nil {
		return out, nil, err
	}
	if follow {
		s, err = a.follow(x, r)
		return out, s, err
	}
	rec, err := a.record(x, r)
	if err != nil {
		return out, nil, err
	}
	b := appendList([]byte(`{"logs":`), rec.LogsSoFar(), whisk.AppendString)
	return answer{body: append(b, '}')}, nil, nil
}

// logStream sends the lines of one call to one client, as server-sent events:
//
//	event: log      data is a line as the record has it
//	event: attempt  the call failed and is tried again; its lines follow
//	event: end      data is {"activationId","status","success"}
type logStream struct {
	a     *API
	x     *exchange
	r     *http.Request
	conn  *http.ResponseController
	stop  <-chan struct{}
	leave func()

	rec  *whisk.Activation
	tail whisk.Tail // whose lines were sent
	sent int        // of its lines
	buf  []byte
	fail error
}

// follow opens a stream for the activation that the path names.
func (a *API) follow(x *exchange, r *http.Request) (*logStream, error) {
	if err := checkRecord(x); err != nil {
		return nil, err
	}
	rec, err := a.find(r.Context(), x.namespace, x.name)
	if errors.Is(err, activation.ErrNotFound) || err == nil && rec.Start < x.caller.Created {
		err = whisk.NotFound()
	}
	if err != nil {
		return nil, err
	}
	s := &logStream{a: a, x: x, r: r, rec: rec, conn: http.NewResponseController(x.ResponseWriter)}
	s.stop, s.leave, err = a.followers.enter(x.namespace)
	return s, err
}

// run sends until the call has ended, the client has gone or the server stops.
func (s *logStream) run() {
	defer s.leave()
	defer func() { _ = s.conn.SetWriteDeadline(time.Time{}) }() // the connection may serve others
	h := s.x.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would collect the events
	s.x.WriteHeader(http.StatusOK)
	alive := time.NewTicker(s.a.heartbeat)
	defer alive.Stop()
	look := time.NewTimer(queuedLook)
	defer look.Stop()
	for s.fail == nil {
		more, over := s.advance()
		s.flush()
		if over || s.fail != nil {
			return
		}
		look.Reset(queuedLook)
		var again <-chan time.Time
		if more == nil {
			again = look.C
		}
		select {
		case <-more:
		case <-again:
		case <-alive.C:
			s.buf = append(s.buf, ":\n\n"...)
		case <-s.r.Context().Done():
			return
		case <-s.stop:
			return
		}
	}
}

// advance writes what there is to say, and tells whether that was all. more is
// closed when there is more; nil: look again later.
func (s *logStream) advance() (more <-chan struct{}, over bool) {
	for {
		if s.rec.Response.Status != whisk.Running {
			s.finish()
			return nil, true
		}
		ended := true
		if s.rec.Tail != nil {
			if more, ended = s.follow(); !ended {
				return more, false
			}
		}
		rec, err := s.a.find(s.r.Context(), s.x.namespace, s.x.name)
		if err != nil {
			s.fail = err // the record has expired, or the client is gone
			return nil, true
		}
		waits := rec.Response.Status == whisk.Running && (rec.Tail == nil || rec.Tail == s.tail)
		if s.rec = rec; waits {
			return nil, false
		}
	}
}

// follow writes the new lines of a running call.
func (s *logStream) follow() (more <-chan struct{}, ended bool) {
	if s.tail != s.rec.Tail {
		if s.tail != nil {
			s.event("attempt", "{}")
		}
		s.tail, s.sent = s.rec.Tail, 0
	}
	lines, more, ended := s.tail.Lines(s.sent)
	for _, line := range lines {
		s.event("log", line)
	}
	s.sent += len(lines)
	return more, ended
}

// finish writes the rest of the lines, and how the call ended.
func (s *logStream) finish() {
	for _, line := range s.rec.Logs[min(s.sent, len(s.rec.Logs)):] {
		s.event("log", line)
	}
	b := appendText(nil, `{"activationId":`, s.rec.ID)
	b = appendText(b, `,"status":`, s.rec.Response.Status.String())
	b = appendBool(b, `,"success":`, s.rec.Response.Status == whisk.Success)
	s.event("end", string(append(b, '}')))
}

// lineEnds are what ends a line of an event, which a log line can hold all but one of.
var lineEnds = strings.NewReplacer("\r\n", "\ndata: ", "\r", "\ndata: ", "\n", "\ndata: ")

// flushBytes are worth sending before all there is has been written.
const flushBytes = 64 << 10

func (s *logStream) event(name, data string) {
	if s.fail != nil {
		return
	}
	s.buf = append(append(s.buf, "event: "...), name...)
	s.buf = append(append(s.buf, "\ndata: "...), lineEnds.Replace(data)...)
	s.buf = append(s.buf, "\n\n"...)
	if len(s.buf) > flushBytes {
		s.flush()
	}
}

var errRevoked = errors.New("the key is no longer valid")

// stillMay tells whether the key of a request is what it was when the request
// came: it may have been revoked, or its namespace deleted and made anew.
func (a *API) stillMay(caller *whisk.Identity, r *http.Request) bool {
	now, err := a.authenticate(r)
	return err == nil && now.Namespace == caller.Namespace && now.Created == caller.Created
}

// flush sends what was written. A client that does not read is given up.
func (s *logStream) flush() {
	if s.fail != nil {
		return
	}
	if len(s.buf) > 0 && !s.a.stillMay(s.x.caller, s.r) {
		s.fail = errRevoked
		return
	}
	s.fail = s.conn.SetWriteDeadline(time.Now().Add(followerPause))
	if s.fail == nil && len(s.buf) > 0 {
		_, s.fail = s.x.Write(s.buf)
	}
	if s.fail == nil {
		s.fail = s.conn.Flush()
	}
	s.buf = s.buf[:0]
}
