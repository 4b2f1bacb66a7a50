package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTLSUpstream(t *testing.T) {
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprintf(w, "%s %s %s", q.TLS.ServerName, q.Host, q.Header.Get("X-Forwarded-Proto"))
	}))
	defer up.Close()
	r := start(t, nil)
	addr := strings.TrimPrefix(up.URL, "https://")
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"https","nodes":{"`+addr+`":1}}}`)
	for _, host := range []string{"one.example:8443", "two.example"} {
		name, _, _ := strings.Cut(host, ":")
		for range 2 {
			if rep := r.get("/", "Host: "+host); rep.body != name+" "+host+" http" {
				t.Errorf("%s: %s %q", host, rep.line, rep.body)
			}
		}
	}
	plain := serve(t, func(_ *server, c *upstreamConn) {
		c.r.ReadByte()
		io.WriteString(c, "HTTP/1.1 400 This is not TLS\r\n\r\n")
	})
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"https","nodes":{"`+plain.addr+`":1}}}`)
	if rep := r.get("/"); rep.status != 502 || rep.header.Get(statusHeader) != "502" {
		t.Errorf("no TLS there: %s", rep.line)
	}
	r.stop()
}
