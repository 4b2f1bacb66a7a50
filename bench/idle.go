package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	idleName = "idle keep-alive connections"
	restName = "connections that rest between requests"
)

// idleConns is how many connections are idle, idleFor for how long when their memory
// is measured, and idleBefore how many are idle already when that begins: they take
// what a server has once it works, and have it give back what its start has taken.
const (
	idleConns  = 10_000
	idleFor    = 12 * time.Second
	idleBefore = 1500
)

// idleKinds are what idle clients speak, by the protocol's name in ALPN.
var idleKinds = []struct{ name, proto string }{{"HTTP/1.1", ""}, {"HTTP/1.1 over TLS", "http/1.1"}, {"HTTP/2 over TLS", "h2"}}

// idleSubjects are Millrace and nginx, each with room for the connections.
func idleSubjects(proto string) []subject {
	roomy := func(conf func(o options, port int, stub string) string) func(o options, port int, stub string) string {
		return func(o options, port int, stub string) string {
			text := strings.ReplaceAll(conf(o, port, stub), "worker_connections 4096", fmt.Sprint("worker_connections ", 2*idleConns))
			if proto == "h2" {
				text = strings.Replace(text, " ssl;", " ssl http2;", 1)
			}
			return text
		}
	}
	if proto == "" {
		return []subject{millrace("millrace", plainRoute), proxyTo("nginx", roomy(nginxConf), "nginx", "-c", "%s")}
	}
	return []subject{millrace("millrace", tlsRoute), proxyOver("https://localhost", "nginx", roomy(nginxTLSConf), "nginx", "-c", "%s")}
}

// idleCases are those of connections that do nothing most of the time.
func idleCases() (all []specialCase) {
	for _, kind := range idleKinds {
		for _, c := range []struct {
			name string
			run  func(options, string) error
		}{{idleName, runIdle}, {restName, runRests}} {
			name := c.name + " over " + kind.name
			all = append(all, specialCase{name, func(o options) error {
				fmt.Printf("\n%s\n", name)
				return c.run(o, kind.proto)
			}})
		}
	}
	return all
}

// runIdle prints what connections cost that have served a request and wait, in the
// server and beyond the kernel's sockets.
func runIdle(o options, proto string) error {
	if err := openFiles(2 * idleConns); err != nil {
		return err
	}
	fmt.Printf("  %d that have served one request\n", idleConns)
	for _, sub := range idleSubjects(proto) {
		if err := idleMemory(o, sub, proto); err != nil {
			return fmt.Errorf("%s: %w", sub.name, err)
		}
	}
	return nil
}

// openFiles lets this process and those that it starts have n files open.
func openFiles(n uint64) error {
	files := syscall.Rlimit{Cur: n, Max: n}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		return nil
	}
	var have syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); have.Cur < n/2 {
		return fmt.Errorf("%d files may be open, %d are needed", have.Cur, n)
	}
	return nil
}

func idleMemory(o options, sub subject, proto string) error {
	r, err := sub.start(o)
	if err != nil {
		return err
	}
	defer r.stop()
	open := &visitors{url: r.url, proto: proto}
	defer open.close()
	if err := open.grow(idleBefore); err != nil {
		return err
	}
	time.Sleep(idleFor)
	before := r.settle()
	if err := open.grow(idleConns); err != nil {
		return err
	}
	time.Sleep(idleFor)
	fmt.Printf("  %-15s %d bytes a connection\n", sub.name, (r.settle()-before)/(idleConns-idleBefore))
	return nil
}

// settle is the memory of a running subject, after a collection if it has one.
func (r *running) settle() int64 {
	if r.collect != "" {
		if resp, err := http.Post(r.collect, "", nil); err == nil {
			resp.Body.Close()
		}
	}
	return r.server.usage().bytes
}

// restConns is how many connections rest between their requests, restFor how long a
// measurement of them takes.
const (
	restConns = 1000
	restFor   = 10 * time.Second
)

// runRests prints what a request costs on connections that rest between requests: the
// same number of requests a second, of few clients that go on at once and of many that
// have rested for long.
func runRests(o options, proto string) error {
	if err := openFiles(2*restConns + 100); err != nil {
		return err
	}
	for _, sub := range idleSubjects(proto) {
		for _, conns := range []int{restConns / 20, restConns} {
			every := time.Duration(conns) * time.Second / restConns
			if err := restCost(o, sub, proto, conns, every); err != nil {
				return fmt.Errorf("%s: %w", sub.name, err)
			}
		}
	}
	return nil
}

func restCost(o options, sub subject, proto string, conns int, every time.Duration) error {
	r, err := sub.start(o)
	if err != nil {
		return err
	}
	defer r.stop()
	open := &visitors{url: r.url, proto: proto}
	defer open.close()
	if err := open.grow(conns); err != nil {
		return err
	}
	if _, err := open.ask(2*every, every); err != nil {
		return err
	}
	before := r.server.usage().cpu
	times, err := open.ask(restFor, every)
	if err != nil {
		return err
	}
	cpu := (r.server.usage().cpu - before) / time.Duration(len(times))
	slices.Sort(times)
	fmt.Printf("  %-10s %4d connections, each after %5s: %5d requests, CPU/req %8s, p50 %8s, p99 %8s\n", sub.name, conns, every,
		len(times), cpu.Round(100*time.Nanosecond), times[len(times)/2].Round(time.Microsecond), times[len(times)*99/100].Round(time.Microsecond))
	return nil
}

// visitors are clients of one server.
type visitors struct {
	url, proto string
	all        []*visitor
}

func (v *visitors) close() {
	for _, c := range v.all {
		c.Close()
	}
}

// grow has clients come, and ask once, until there are n.
func (v *visitors) grow(n int) error {
	for len(v.all) < n {
		c, err := visit(v.url, v.proto)
		if err != nil {
			return fmt.Errorf("client %d: %w", len(v.all), err)
		}
		v.all = append(v.all, c)
		if err := c.ask(); err != nil {
			return fmt.Errorf("client %d: %w", len(v.all), err)
		}
	}
	return nil
}

// ask has each client ask once in every, evenly spread, for so long, and answers how
// long each answer took.
func (v *visitors) ask(long, every time.Duration) (times []time.Duration, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	for i, c := range v.all {
		all.Go(func() {
			for at := begin.Add(time.Duration(i) * every / time.Duration(len(v.all))); at.Sub(begin) < long; at = at.Add(every) {
				time.Sleep(time.Until(at))
				asked := time.Now()
				failed := c.ask()
				took := time.Since(asked)
				mu.Lock()
				times, err = append(times, took), errors.Join(err, failed)
				mu.Unlock()
				if failed != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return times, err
}

// visitor is a client's connection.
type visitor struct {
	net.Conn
	framer *http2.Framer // nil unless it speaks HTTP/2
	stream uint32
}

// visit opens a connection to what url names, with TLS if proto says what to speak.
func visit(url, proto string) (*visitor, error) {
	host := strings.TrimSuffix(url[strings.Index(url, "//")+2:], "/hello")
	conn, err := net.Dial("tcp4", host)
	if err != nil || proto == "" {
		return &visitor{Conn: conn}, err
	}
	v := &visitor{Conn: tls.Client(conn, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{proto}}), stream: 1}
	if proto != "h2" {
		return v, nil
	}
	if _, err := io.WriteString(v, http2.ClientPreface); err != nil {
		return nil, err
	}
	v.framer = http2.NewFramer(v.Conn, v.Conn)
	return v, v.framer.WriteSettings()
}

// ask asks for /hello and waits for the answer.
func (v *visitor) ask() error {
	if v.framer != nil {
		return v.askHTTP2()
	}
	if _, err := io.WriteString(v, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	var room [4 << 10]byte
	for n := 0; !bytes.HasSuffix(room[:n], []byte(answer)); {
		m, err := v.Read(room[n:])
		if n += m; err != nil {
			return fmt.Errorf("after %q: %w", room[:n], err)
		}
	}
	return nil
}

// askHTTP2 sends the headers that a browser does, which fill the table of compression.
func (v *visitor) askHTTP2() error {
	var block bytes.Buffer
	if v.stream == 1 {
		encoder := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/hello"},
			{"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}, {"accept", "text/html,application/xhtml+xml"},
			{"accept-language", "en-US,en;q=0.5"}, {"accept-encoding", "gzip, deflate, br, zstd"}, {"priority", "u=0, i"}} {
			encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
	} else { // GET, https, localhost, /hello
		block.Write([]byte{0x82, 0x87, 0x80 | 68, 0x80 | 67})
	}
	id := v.stream
	v.stream += 2
	if err := v.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return err
	}
	for {
		f, err := v.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			if f.StreamEnded() && f.StreamID == id {
				return nil
			}
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			return fmt.Errorf("%v", f)
		}
	}
}
