package server_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The catalog is there from the start, in a process that keeps nothing too.
func TestSystemActions(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := make(chan string, 1)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			got <- message(t, w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", string(body))
	}))
	defer outside.Close()
	long := strings.Repeat("é", 200)
	for _, c := range []struct{ action, args, want string }{
		{"utils/echo", `{"a":[1,{"b":null}]}`, `{"a":[1,{"b":null}]}`},
		{"utils/namespace", `{}`, `{"namespace":"guest"}`},
		{"samples/curl", `{"payload":"` + outside.URL + `"}`, `{"msg":"GET "}`},
		{"slack/post", `{"url":"` + outside.URL + `","text":"hi","channel":"#c"}`, `{"response":"POST {\"channel\":\"#c\",\"text\":\"hi\"}"}`},
		{"websocket/send", `{"uri":"ws` + strings.TrimPrefix(outside.URL, "http") + `/x","payload":"` + long + `"}`, `{"payload":"` + long + `"}`},
	} {
		if body := s.call("whisk.system/actions/"+c.action+"?blocking=true&result=true", c.args); body != c.want {
			t.Errorf("%s answers %s, want %s", c.action, body, c.want)
		}
	}
	select {
	case sent := <-got:
		if sent != long {
			t.Errorf("the WebSocket server got %q", sent)
		}
	case <-time.After(20 * time.Second):
		t.Error("the WebSocket server got nothing")
	}
}

// message accepts a WebSocket and reads one message of 126 to 65535 bytes.
func message(t *testing.T, w http.ResponseWriter, r *http.Request) string {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(accept[:]))
	return readFrame(t, rw.Reader)
}

func readFrame(t *testing.T, r *bufio.Reader) string {
	var head [8]byte // two bytes, the length, the mask
	if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != 0x81 || head[1] != 0x80|126 {
		t.Errorf("the frame begins with %x, %v", head, err)
		return ""
	}
	data := make([]byte, int(head[2])<<8|int(head[3]))
	if _, err := io.ReadFull(r, data); err != nil {
		t.Error(err)
	}
	for i := range data {
		data[i] ^= head[4+i%4]
	}
	return string(data)
}
