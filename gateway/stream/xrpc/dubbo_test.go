package xrpc

import (
	"encoding/binary"
	"testing"
)

// message is one of Dubbo.
func message(flags byte, id uint64, body string) string {
	head := binary.BigEndian.AppendUint64([]byte{0xda, 0xbb, flags, 0}, id)
	return string(binary.BigEndian.AppendUint32(head, uint32(len(body)))) + body
}

func TestDubbo(t *testing.T) {
	const request, oneWay, answer, event = 0xc2, 0x82, 0x02, 0xe2
	for _, piece := range []int{1, 7, 1000} {
		d := begin(t, "dubbo", "")
		sent := message(request, 1, "first") + message(oneWay, 2, "second") + message(request, 3, "") + message(event, 4, "N") + message(answer, 77, "to a heartbeat of the node")
		all := read(t, d.FromClient, sent, piece)
		if len(all) != 4 || all[0].Silent || !all[1].Silent || all[2].Silent {
			t.Fatalf("calls %+v", all)
		}
		got := read(t, d.FromNode, message(answer, 3, "three")+message(event, 77, "N")+message(answer, 9, "of nobody")+message(answer, 1, "one"), piece)
		if len(got) != 2 || got[0] != all[2] || got[1] != all[0] {
			t.Errorf("answered %+v", got)
		}
		if left := d.Unanswered(); len(left) != 1 || left[0] != all[3] {
			t.Errorf("left %+v", left)
		}
	}
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\xda\xbc" + message(answer, 1, "x")} {
		if _, _, err := begin(t, "dubbo", "").FromClient([]byte(text)); err == nil {
			t.Errorf("%q is a message", text)
		}
	}
}

func FuzzDubbo(f *testing.F) {
	f.Add(message(0xc2, 1, "a")+message(0x02, 1, "b"), 5)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		count := func(piece int) (messages int) {
			var m dubboMessages
			for rest := []byte(text); len(rest) > 0; {
				n, done, err := m.scan(rest[:min(max(piece, 1), len(rest))])
				if err != nil {
					return -1
				}
				if done {
					messages++
				}
				rest = rest[n:]
			}
			return messages
		}
		if whole, pieces := count(len(text)), count(piece); whole != pieces {
			t.Errorf("%d messages, in pieces %d", whole, pieces)
		}
	})
}
