package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
)

// backends are the servers behind a gateway that scripts speak of: {{backend_addr}}
// speaks HTTP, {{echo_addr}} and {{udp_echo_addr}} send back what they get.
//
// The first answers with the request as it came, byte for byte, except for
//
//	/status/503   that status, without more
//	/answer       headers that a gateway must treat
//	/hangup       the connection ends without an answer
//	/silence      nothing, until the other side ends the connection
type backends struct {
	http, echo net.Listener
	udp        net.PacketConn
	done       sync.WaitGroup
	mu         sync.Mutex
	open       map[net.Conn]bool // nil once closed
}

// startBackends opens them on free ports of host.
func startBackends(host string) (*backends, error) {
	b := &backends{open: map[net.Conn]bool{}}
	var errs [3]error
	b.http, errs[0] = net.Listen("tcp", net.JoinHostPort(host, "0"))
	b.echo, errs[1] = net.Listen("tcp", net.JoinHostPort(host, "0"))
	b.udp, errs[2] = net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("opening the backends: %w", err)
	}
	b.done.Go(func() { b.accept(b.http, answerRequests) })
	b.done.Go(func() { b.accept(b.echo, func(c net.Conn) { _, _ = io.Copy(c, c) }) })
	b.done.Go(b.echoDatagrams)
	return b, nil
}

// close ends them and all that they have under way.
func (b *backends) close() {
	b.http.Close()
	b.echo.Close()
	b.udp.Close()
	b.mu.Lock()
	for c := range b.open {
		c.Close()
	}
	b.open = nil
	b.mu.Unlock()
	b.done.Wait()
}

// nameIn gives scripts their addresses.
func (b *backends) nameIn(v *variables) {
	v.address("backend", b.http.Addr().String())
	v.address("echo", b.echo.Addr().String())
	v.address("udp_echo", b.udp.LocalAddr().String())
}

func (b *backends) accept(ln net.Listener, serve func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		if b.open == nil {
			c.Close()
		} else {
			b.open[c] = true
			b.done.Go(func() {
				serve(c)
				c.Close()
				b.mu.Lock()
				delete(b.open, c)
				b.mu.Unlock()
			})
		}
		b.mu.Unlock()
	}
}

func (b *backends) echoDatagrams() {
	datagram := make([]byte, 64<<10)
	for {
		n, from, err := b.udp.ReadFrom(datagram)
		if err != nil {
			return
		}
		if _, err := b.udp.WriteTo(datagram[:n], from); err != nil {
			return
		}
	}
}

// answerRequests answers the requests of one connection.
func answerRequests(c net.Conn) {
	from := bufio.NewReader(c)
	for {
		head, length, err := readHead(from)
		if err != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		if !answerRequest(c, from, head, body) {
			return
		}
	}
}

// readHead reads a request up to the empty line, and how long its body is.
func readHead(from *bufio.Reader) (head string, length int, err error) {
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := from.ReadString('\n')
		if err != nil {
			return "", 0, err
		}
		head += line
		name, value, _ := strings.Cut(line, ":")
		if textproto.CanonicalMIMEHeaderKey(name) == "Content-Length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return "", 0, err
			}
		}
	}
	return head, length, nil
}

// answerRequest tells whether the connection goes on.
func answerRequest(c net.Conn, from io.Reader, head string, body []byte) bool {
	_, target, _ := strings.Cut(head, " ")
	path, _, _ := strings.Cut(target, " ")
	path, _, _ = strings.Cut(path, "?")
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s%s", len(head)+len(body), head, body)
	switch code, isStatus := strings.CutPrefix(path, "/status/"); {
	case isStatus:
		n, _ := strconv.Atoi(code) // the script's
		answer = fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\nstatus %s", n, http.StatusText(n), len("status ")+len(code), code)
	case path == "/answer":
		answer = oddAnswer
	case path == "/hangup":
		return false
	case path == "/silence":
		_, _ = io.Copy(io.Discard, from)
		return false
	}
	_, err := io.WriteString(c, answer)
	return err == nil
}

// oddAnswer has headers that are of one hop, or for nginx, or for the client as often
// as they come.
const oddAnswer = "HTTP/1.1 200 OK\r\nServer: backend\r\nX-Accel-Limit-Rate: 0\r\nContent-Type: text/html\r\nKeep-Alive: timeout=5\r\n" +
	"Location: http://127.0.0.1:1/there\r\nX-Twice: 1\r\nX-Twice: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 4\r\n\r\nbody"
