package process

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/rawio"
	"millrace/whisk/runtime"
)

const (
	// pipeSize is what a pipe holds, so all that can have been written before an
	// answer and not been read yet.
	pipeSize = 64 << 10
	// readSize is read at once; maxLine breaks lines that are longer still.
	readSize = 16 << 10
	maxLine  = 1 << 20
)

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// logs collects what an instance and its children write to stdout and stderr.
//
// One goroutine a stream reads all the time, so that output never blocks an
// action for long; beyond the limit it is read and dropped. Who takes the logs
// of a call first reads what is waiting in the pipes, so all that was written
// before the answer is there. What is written after it belongs to the next call,
// as with the marker lines of OpenWhisk's containers. With several calls at once
// lines go to the one that ends first.
type logs struct {
	mu     sync.Mutex
	out    stream
	err    stream
	limit  int // bytes a call; 0 collects nothing
	size   int // bytes collected since the last take
	cut    bool
	lines  []string
	live   runtime.Lines // gets the lines as well; may be nil
	wg     sync.WaitGroup
	closed bool
}

type stream struct {
	file    *os.File
	fd      int
	name    string
	partial []byte
}

// start begins to read. Until setLimit is called nothing is kept but the little
// that an interpreter says before it has an action.
func (l *logs) start(stdout, stderr *os.File) error {
	l.limit = readSize
	l.out.name, l.err.name = " stdout: ", " stderr: "
	if err := l.open(&l.out, stdout); err != nil {
		return err
	}
	return l.open(&l.err, stderr)
}

func (l *logs) open(s *stream, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	s.file = f
	if err := raw.Control(func(fd uintptr) { s.fd = int(fd) }); err != nil {
		return err
	}
	l.wg.Go(func() {
		// The error says that the file was closed, which is how this ends.
		_ = raw.Read(func(uintptr) bool { return l.pump(s) })
	})
	return nil
}

func (l *logs) setLimit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = n
}

// pump reads until nothing is there and tells whether the stream has ended. The
// lock is given up between reads, so output without end holds up nobody.
func (l *logs) pump(s *stream) (ended bool) {
	for {
		l.mu.Lock()
		n, ended := l.readOnce(s)
		l.mu.Unlock()
		if n == 0 {
			return ended
		}
	}
}

// readOnce reads what is there, at most readSize. With n 0 nothing was there:
// now, or forever.
func (l *logs) readOnce(s *stream) (n int, ended bool) {
	if l.closed {
		return 0, true
	}
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := unix.Read(s.fd, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, false
		case err != nil || n == 0:
			return 0, true
		}
		l.add(s, buf[:n])
		return n, false
	}
}

// add splits what was read into lines.
func (l *logs) add(s *stream, data []byte) {
	if l.limit == 0 || l.cut {
		return
	}
	now := ""
	for len(data) > 0 && !l.cut {
		end := bytes.IndexByte(data, '\n')
		if end < 0 && len(s.partial)+len(data) < min(maxLine, l.limit-l.size+1) {
			s.partial = append(s.partial, data...)
			return
		}
		if now == "" {
			now = timestamp(time.Now())
		}
		if end < 0 {
			l.line(now, s, data)
			return
		}
		l.line(now, s, data[:end])
		data = data[end+1:]
	}
}

// line adds one line, which is the stream's partial one and its end; or what
// still fits of it, and the end of all lines. Time and stream count as well, or a
// million empty lines would cost nothing.
func (l *logs) line(now string, s *stream, end []byte) {
	raw := end
	if len(s.partial) > 0 {
		raw = append(s.partial, end...)
		s.partial = nil
	}
	text := strings.ToValidUTF8(string(raw), "\ufffd") // three bytes for one, so before it is measured
	left := l.limit - l.size - len(now) - len(s.name)
	if len(text) > left {
		text = strings.ToValidUTF8(text[:max(left, 0)], "")
		l.cut = true
	}
	l.size += len(now) + len(s.name) + len(text) + 1
	if len(text) > 0 || !l.cut {
		l.keep(now + s.name + text)
	}
	if l.cut {
		l.keep(fmt.Sprintf("%s stderr: Logs were truncated because the total bytes size exceeds the limit of %d bytes.", now, l.limit))
	}
}

func (l *logs) keep(line string) {
	l.lines = append(l.lines, line)
	if l.live != nil {
		l.live.Line(line)
	}
}

// show lets live have the lines of the call that begins, with those that are
// waiting to be its.
func (l *logs) show(live runtime.Lines) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == live {
		return
	}
	l.live = live
	if live != nil {
		for _, line := range l.lines {
			live.Line(line)
		}
	}
}

// take answers the lines since the last take, with all that is waiting in the
// pipes; nil if there are none.
func (l *logs) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == 0 {
		l.live = nil
		return nil
	}
	if !l.closed && len(l.out.partial)+len(l.err.partial) == 0 && !rawio.AnyReadable(l.out.fd, l.err.fd) {
		return l.cutOff()
	}
	l.drain(&l.out)
	l.drain(&l.err)
	return l.cutOff()
}

// cutOff answers the lines of the call that has ended.
func (l *logs) cutOff() []string {
	lines := l.lines
	l.lines, l.size, l.cut, l.live = nil, 0, false, nil
	return lines
}

// drain reads at most what a pipe holds and ends an unfinished line.
func (l *logs) drain(s *stream) {
	for total := 0; total < pipeSize; {
		n, _ := l.readOnce(s)
		if n == 0 {
			break
		}
		total += n
	}
	if len(s.partial) > 0 && !l.cut {
		l.line(timestamp(time.Now()), s, nil)
	}
	s.partial = nil
}

// close ends the reading. What was not taken is lost.
func (l *logs) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	for _, s := range []*stream{&l.out, &l.err} {
		if s.file != nil {
			s.file.Close()
		}
	}
	l.wg.Wait()
}

// timestamp has 30 characters: 2026-01-02T03:04:05.123456789Z.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
