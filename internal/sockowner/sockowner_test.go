package sockowner

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestUID(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("this machine has no %s: %v", address, err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		own, peer := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		for name, find := range map[string]func(own, peer netip.AddrPort) (uint32, bool, error){"UID": UID, "byDiag": byDiag, "byProc": byProc} {
			if uid, ok, err := find(own, peer); err != nil || !ok || uid != uint32(os.Geteuid()) {
				t.Errorf("%s of a connection of ours to %s: %d, %v, %v", name, address, uid, ok, err)
			}
			if _, ok, err := find(own, own); err != nil || ok {
				t.Errorf("%s of no connection to %s: %v, %v", name, address, ok, err)
			}
		}
	}
}

// A listener on all addresses sees IPv4 clients with IPv6 addresses.
func TestUIDOfAMappedAddress(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrPort(l.Addr()).Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	if uid, ok, err := UID(mapped(addrPort(c.LocalAddr())), mapped(addrPort(c.RemoteAddr()))); err != nil || !ok || uid != uint32(os.Geteuid()) {
		t.Errorf("%d, %v, %v", uid, ok, err)
	}
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

func TestFindUID(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0200007F:8CD6 0100007F:A85D 01 00000000:00000000 03:00001504 00000000     5        0 78 3 000000008fe0d952
   1: 0100007F:8CD6 0100007F:A85E 01 00000000:00000000 03:00001504 00000000     6        0 78 3 000000008fe0d952
   2: 0100007F
   3: zz00007F:8CD6 0100007F:A85D 01 00000000:00000000 03:00001504 00000000     7        0 77 3 000000008fe0d952
   4: 0100007F:8CD6 0100007F:A85D 06 00000000:00000000 03:00001504 00000000     0        0 0 3 000000008fe0d952
   5: 0100007F:8CD6 0100007F:A85D 01 00000000:00000000 03:00001504 00000000  1234        0 77 3 000000008fe0d952
   6: 0000000000000000FFFF00000200007F:8CD6 0000000000000000FFFF00000100007F:0001 01 00000000:00000000 03:00001504 00000000  4321        0 77 3 000000008fe0d952
`
	for _, tc := range []struct {
		own, peer string
		uid       uint32
		ok        bool
	}{
		{"127.0.0.1:36054", "127.0.0.1:43101", 1234, true},
		{"127.0.0.2:36054", "127.0.0.1:1", 4321, true},
		{"127.0.0.1:36054", "127.0.0.1:2", 0, false},
	} {
		uid, ok := findUID([]byte(table), netip.MustParseAddrPort(tc.own), netip.MustParseAddrPort(tc.peer))
		if uid != tc.uid || ok != tc.ok {
			t.Errorf("%s to %s: %d, %v", tc.own, tc.peer, uid, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("0100007F:8CD6"))
	f.Add([]byte("0000000000000000FFFF00000100007F:8CD6"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parseAddr(text)
		parseDiag(text)
	})
}

func BenchmarkUID(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if _, ok, err := UID(addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
