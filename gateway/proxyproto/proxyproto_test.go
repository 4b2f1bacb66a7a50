package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// binaryHead makes a head of version 2.
func binaryHead(command, family byte, body string) string {
	b := append([]byte{}, signature...)
	b = append(b, 0x20|command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(body)))) + body
}

const (
	addrs4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
	addrs6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xdc\x04\x01\xbb"
)

// withChecksum makes a head of version 2 whose last extension is its checksum.
func withChecksum(body string) string {
	head := []byte(binaryHead(1, tcp4, body+"\x03\x00\x04\x00\x00\x00\x00"))
	sum := crc32.Checksum(head, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(head[len(head)-4:], sum)
	return string(head)
}

var heads = []struct {
	name, head   string
	source, dest string // empty: the balancer's own
}{
	{"TCP4", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324", "198.51.100.2:443"},
	{"TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "[2001:db8::1]:56324", "[2001:db8::2]:443"},
	{"longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"UNKNOWN", "PROXY UNKNOWN\r\n", "", ""},
	{"UNKNOWN with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", ""},
	{"2 TCP4", binaryHead(1, tcp4, addrs4), "192.0.2.1:56324", "198.51.100.2:443"},
	{"2 TCP6", binaryHead(1, tcp6, addrs6), "[2001:db8::1]:56324", "[2001:db8::2]:443"},
	{"2 with an extension", binaryHead(1, tcp4, addrs4+"\x04\x00\x02ab"), "192.0.2.1:56324", "198.51.100.2:443"},
	{"2 with a checksum", withChecksum(addrs4), "192.0.2.1:56324", "198.51.100.2:443"},
	{"2 LOCAL", binaryHead(0, 0, ""), "", ""},
	{"2 LOCAL with addresses", binaryHead(0, tcp4, addrs4), "", ""},
	{"2 without family", binaryHead(1, 0, "whatever"), "", ""},
	{"2 of UDP", binaryHead(1, 0x12, addrs4), "", ""},
	{"2 of Unix sockets", binaryHead(1, 0x31, strings.Repeat("\x00", 216)), "", ""},
}

func text(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestRead(t *testing.T) {
	for _, tt := range heads {
		for _, more := range []string{"", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 1000)} {
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.head + more), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.head + more))} {
				h, rest, err := Read(r)
				if err != nil {
					t.Errorf("%s %s: %v", tt.name, how, err)
					continue
				}
				if text(h.Source) != tt.source || text(h.Destination) != tt.dest {
					t.Errorf("%s %s: %+v", tt.name, how, h)
				}
				left, _ := io.ReadAll(r)
				if got := string(rest) + string(left); got != more {
					t.Errorf("%s %s: %d bytes follow, want %d", tt.name, how, len(got), len(more))
				}
			}
		}
	}
}

func TestReadMalformed(t *testing.T) {
	wrong := []byte(withChecksum(addrs4))
	wrong[len(wrong)-1]++
	for name, head := range map[string]string{
		"no head":               "GET / HTTP/1.1\r\n",
		"lower case":            "proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
		"LF only":               "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
		"two spaces":            "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
		"space at the end":      "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
		"other family":          "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
		"unknown family":        "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
		"zone":                  "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
		"short address":         "PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n",
		"address with zeros":    "PROXY TCP4 192.000.002.001 198.51.100.2 1 2\r\n",
		"port too large":        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n",
		"port with zeros":       "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
		"port with sign":        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
		"no ports":              "PROXY TCP4 192.0.2.1 198.51.100.2\r\n",
		"too long":              "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n",
		"endless":               "PROXY UNKNOWN " + strings.Repeat("x", 1000),
		"version 3":             strings.Replace(binaryHead(1, tcp4, addrs4), "QUIT\n\x21", "QUIT\n\x31", 1),
		"command 2":             binaryHead(2, tcp4, addrs4),
		"addresses cut short":   binaryHead(1, tcp4, addrs4[:11]),
		"addresses of Unix":     binaryHead(1, 0x31, addrs4),
		"extension cut short":   binaryHead(1, tcp4, addrs4+"\x04\x00\x03ab"),
		"extension head":        binaryHead(1, tcp4, addrs4+"\x04\x00"),
		"wrong checksum":        string(wrong),
		"checksum of two bytes": binaryHead(1, tcp4, addrs4+"\x03\x00\x02ab"),
		"much too long":         binaryHead(1, tcp4, strings.Repeat("x", 65535)),
	} {
		if h, _, err := Read(strings.NewReader(head)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	for _, tt := range heads {
		for n := range len(tt.head) {
			if _, _, err := Read(strings.NewReader(tt.head[:n])); !errors.Is(err, io.EOF) {
				t.Errorf("%s, %d bytes of it: %v", tt.name, n, err)
			}
		}
	}
}

func TestAppend(t *testing.T) {
	for _, tt := range []struct{ source, dest, want string }{
		{"192.0.2.1:1", "198.51.100.2:2", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n"},
		{"[2001:db8::1]:1", "[2001:db8::2]:2", "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"},
		{"[::ffff:192.0.2.1]:1", "198.51.100.2:2", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n"},
		{"192.0.2.1:1", "[2001:db8::2]:2", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"},
	} {
		h := Header{netip.MustParseAddrPort(tt.source), netip.MustParseAddrPort(tt.dest)}
		if got := string(Append(nil, h)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := string(Append(nil, Header{})); got != "PROXY UNKNOWN\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestAccept(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accept := func(send string, timeout time.Duration, trusts bool) (*Conn, error) {
		out, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { out.Close() })
		io.WriteString(out, send)
		in, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close() })
		return Accept(in, timeout, func(netip.Addr) bool { return trusts })
	}
	for trusts, want := range map[bool]string{true: "192.0.2.1:7", false: "127.0.0.1"} {
		c, err := accept("PROXY TCP4 192.0.2.1 198.51.100.2 7 2\r\nhello", time.Minute, trusts)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("the client is %s, want %s", got, want)
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); string(buf) != "hello" || err != nil {
			t.Errorf("got %q, %v", buf, err)
		}
		if _, err := c.SyscallConn(); err != nil {
			t.Error(err)
		}
	}
	var timeout net.Error
	if _, err := accept("PROXY TCP4 192.0.2.1", time.Millisecond, true); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("half a head: %v", err)
	}
}

// Whatever comes is read without harm, and what is written is read back.
func FuzzParse(f *testing.F) {
	for _, tt := range heads {
		f.Add([]byte(tt.head))
	}
	f.Add([]byte("PROXY TCP4 1.2.3.4"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, used, need, err := Parse(b)
		switch {
		case err != nil:
			if used != 0 || need != 0 || h != (Header{}) {
				t.Errorf("%v, with %+v %d %d", err, h, used, need)
			}
			return
		case need > 0:
			if need <= len(b) || need > maxBinary {
				t.Errorf("%d of %d bytes are needed", need, len(b))
			}
			return
		case used == 0 || used > len(b):
			t.Errorf("%d of %d bytes are used", used, len(b))
		}
		if whole, n, _, err := Parse(append(bytes.Clone(b[:used]), "more"...)); err != nil || n != used || whole != h {
			t.Errorf("with more behind it: %+v %d %v", whole, n, err)
		}
		if !h.Source.IsValid() {
			return
		}
		again, _, _, err := Parse(Append(nil, h))
		if err != nil || again.Source.Port() != h.Source.Port() || again.Source.Addr().Unmap() != h.Source.Addr().Unmap() {
			t.Errorf("%+v comes back as %+v, %v", h, again, err)
		}
	})
}
