package sockowner

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
)

func TestUIDs(t *testing.T) {
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
		got, err := UIDs(c.LocalAddr().(*net.TCPAddr).AddrPort())
		if err != nil || !slices.Equal(got, []uint32{uint32(os.Geteuid())}) {
			t.Errorf("owner of a connection of ours to %s: %v, %v", address, got, err)
		}
	}
}

func TestAppendUIDs(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:8CD6 0100007F:A85D 01 00000000:00000000 03:00001504 00000000  1234        0 77 3 000000008fe0d952
   1: 0200007F:8CD6 0100007F:A85D 01 00000000:00000000 03:00001504 00000000     5        0 78 3 000000008fe0d952
   2: 0000000000000000FFFF00000100007F:8CD6 0000000000000000FFFF00000100007F:A85D 01 00000000:00000000 03:00001504 00000000  4321        0 77 3 000000008fe0d952
   3: 0100007F
   5: 0100007F:8CD6 0100007F:A85D 06 00000000:00000000 03:00001504 00000000     0        0 0 3 000000008fe0d952
   4: zz00007F:8CD6 0100007F:A85D 01 00000000:00000000 03:00001504 00000000  1234        0 77 3 000000008fe0d952
`
	got := appendUIDs(nil, []byte(table), netip.MustParseAddrPort("127.0.0.1:36054"))
	if !slices.Equal(got, []uint32{1234, 4321}) {
		t.Errorf("got %v", got)
	}
}

func FuzzParseAddr(f *testing.F) {
	f.Add([]byte("0100007F:8CD6"))
	f.Add([]byte("0000000000000000FFFF00000100007F:8CD6"))
	f.Fuzz(func(t *testing.T, text []byte) { parseAddr(text) })
}
