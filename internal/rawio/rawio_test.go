package rawio

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair answers the two ends of a connection, both ours.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled := make(chan net.Conn, 1)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, b = NewConn(accepted), NewConn(<-dialled)
	t.Cleanup(func() { a.Close(); b.Close() })
	if _, ok := a.(*Conn); !ok {
		t.Fatalf("NewConn answers a %T", a)
	}
	return a, b
}

// More than the buffers of a socket hold, both ways at once.
func TestConnCarriesAllBytes(t *testing.T) {
	a, b := pair(t)
	data := make([]byte, 16<<20)
	rand.New(rand.NewSource(1)).Read(data)
	received := make(chan []byte, 2)
	for _, c := range []net.Conn{a, b} {
		go func() {
			if n, err := c.Write(data); n != len(data) || err != nil {
				t.Errorf("writing: %d, %v", n, err)
			}
			c.(*Conn).CloseWrite()
		}()
		go func() {
			got, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("reading: %v", err)
			}
			received <- got
		}()
	}
	for range 2 {
		if !bytes.Equal(<-received, data) {
			t.Error("what was read is not what was written")
		}
	}
}

func TestConnErrors(t *testing.T) {
	a, b := pair(t)
	p := make([]byte, 1)

	a.SetReadDeadline(time.Now().Add(-time.Second))
	var timeout net.Error
	if _, err := a.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("reading after the deadline: %v", err)
	}
	a.SetReadDeadline(time.Time{})

	if n, err := a.Write(nil); n != 0 || err != nil {
		t.Errorf("writing nothing: %d, %v", n, err)
	}
	if n, err := a.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}

	much := make([]byte, 64<<20)
	a.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := a.Write(much); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == len(much) {
		t.Errorf("writing to who does not read: %d, %v", n, err)
	}

	ended := make(chan error, 1)
	go func() { _, err := a.Read(p); ended <- err }()
	a.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading while it is closed: %v", err)
	}
	if _, err := a.Write(p); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing when it is closed: %v", err)
	}
	b.Close()
}

func TestConnReset(t *testing.T) {
	a, b := pair(t)
	b.(*Conn).SetLinger(0)
	b.Close()
	var errno syscall.Errno
	if _, err := a.Read(make([]byte, 1)); !errors.As(err, &errno) || errno != syscall.ECONNRESET {
		t.Errorf("reading after a reset: %v", err)
	}
	if _, err := a.Write(make([]byte, 1)); !errors.As(err, &errno) || errno != syscall.EPIPE {
		t.Errorf("writing after a reset: %v", err)
	}
}

func TestOtherConnectionsStayAsTheyAre(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if NewConn(a) != a {
		t.Error("a pipe was wrapped")
	}
}

func TestAnyReadable(t *testing.T) {
	var a, b [2]int
	for _, p := range []*[2]int{&a, &b} {
		if err := syscall.Pipe2(p[:], syscall.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(p[0])
	}
	if AnyReadable(a[0], b[0]) {
		t.Error("two empty pipes")
	}
	if n, errno := Write(uintptr(b[1]), []byte("x")); n != 1 || errno != 0 {
		t.Fatal(n, errno)
	}
	if !AnyReadable(a[0], b[0]) {
		t.Error("a byte in the second pipe")
	}
	p := make([]byte, 8)
	if n, errno := Read(uintptr(b[0]), p); n != 1 || errno != 0 || p[0] != 'x' {
		t.Error(n, errno, p)
	}
	if n, errno := Read(uintptr(b[0]), p); n != 0 || errno != syscall.EAGAIN {
		t.Error(n, errno)
	}
	syscall.Close(a[1])
	syscall.Close(b[1])
	if !AnyReadable(a[0], b[0]) {
		t.Error("pipes whose other ends are closed")
	}
}
