package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each way in which curl speaks HTTP, to one route of two hosts.
func TestCurl(t *testing.T) {
	s := start(t)
	file := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			http.ServeContent(w, r, "file.txt", time.Time{}, bytes.NewReader(file))
		case "/refuse":
			w.WriteHeader(http.StatusForbidden) // and no 100 before
		default:
			h := sha256.New()
			n, _ := io.Copy(h, r.Body)
			w.Header().Set("X-Te", strings.Join(r.TransferEncoding, ","))
			fmt.Fprintf(w, "%s %s %d %.8x", r.Method, r.Host, n, h.Sum(nil))
		}
	}))
	t.Cleanup(up.CloseClientConnections)
	s.certificate("a.test", "b.test")
	s.route("1", `{"uri":"/*","upstream":{"nodes":{"%s":1}}}`, up.Listener.Addr())
	sum := fmt.Sprintf("1048576 %.8x", sha256.Sum256(file))
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	// $TLS trusts the certificate for two names, at the address of the listener.
	tls := fmt.Sprintf("--cacert %s --resolve a.test:%[2]d:127.0.0.1 --resolve b.test:%[2]d:127.0.0.1 --resolve c.test:%[2]d:127.0.0.1", s.ca(), s.tls)
	vars := fmt.Sprintf("F='%s' P=%d\ncurl() { command curl -s --noproxy '*' --max-time 60 \"$@\"; }\ntls() { curl %s \"$@\"; }\n", name, s.tls, tls)
	for _, c := range []struct{ name, script, want string }{
		{"HTTP/1.0", `curl --http1.0 -o /dev/null -w '%{http_code} %{http_version}' "$GATEWAY/"`, "200 1.1"},
		{"HTTP/1.1", `curl --http1.1 -o /dev/null -w '%{http_code} %{http_version}' "$GATEWAY/"`, "200 1.1"},
		{"an upgrade is not taken", `curl --http2 -o /dev/null -w '%{http_code} %{http_version}' "$GATEWAY/"`, "200 1.1"},
		{"prior knowledge", `curl --http2-prior-knowledge -o /dev/null -w '%{http_code} %{http_version}' "$GATEWAY/"`, "200 2"},
		{"HTTP/2 on TLS", `tls --http2 -w ' %{http_version} %{ssl_verify_result}' "https://a.test:$P/"`, fmt.Sprintf("GET a.test:%d 0 e3b0c44298fc1c14 2 0", s.tls)},
		{"HTTP/1.1 on TLS", `tls --http1.1 -w ' %{http_version}' "https://b.test:$P/"`, fmt.Sprintf("GET b.test:%d 0 e3b0c44298fc1c14 1.1", s.tls)},
		{"TLS 1.2", `tls --tls-max 1.2 -o /dev/null -w '%{http_code}' "https://a.test:$P/"`, "200"},
		{"a name without a certificate", `tls "https://c.test:$P/" && echo served || echo $?`, "35\n"},
		{"two requests on a connection", `curl -o /dev/null -o /dev/null -w '%{num_connects} ' "$GATEWAY/" "$GATEWAY/"`, "1 0 "},
		{"a body", `curl --data-binary "@$F" "$GATEWAY/" -H 'Host: x'`, "POST x " + sum},
		{"a chunked body", `curl -T - "$GATEWAY/" -H 'Host: x' < "$F"`, "PUT x " + sum},
		{"a body of no known length on HTTP/2", `tls --http2 -T - "https://a.test:$P/" -H 'Host: x' < "$F"`, "PUT x " + sum},
		{"100-continue", `curl -v --expect100-timeout 50 --data-binary "@$F" -H 'Expect: 100-continue' -H 'Host: x' "$GATEWAY/" 2>&1 | grep -c '^< HTTP/1.1 100'`, "1\n"},
		{"100-continue refused", `curl --expect100-timeout 50 --data-binary "@$F" -H 'Expect: 100-continue' -o /dev/null -w '%{http_code}' "$GATEWAY/refuse"`, "403"},
		{"HEAD", `curl -I "$GATEWAY/file" | tr -d '\r' | grep -i -e '^HTTP' -e '^content-length'`, "HTTP/1.1 200 OK\nContent-Length: 1048576\n"},
		{"HEAD on HTTP/2", `tls -I "https://a.test:$P/file" | tr -d '\r' | grep -i -e '^HTTP' -e '^content-length'`, "HTTP/2 200 \ncontent-length: 1048576\n"},
		{"a range", `curl -r 20-25 -w ' %{http_code}' "$GATEWAY/file"`, "456789 206"},
		{"the end of a range on HTTP/2", `tls -r -3 -w ' %{http_code}' "https://a.test:$P/file"`, "def 206"},
		{"a range that is not there", `curl -r 2000000- -o /dev/null -w '%{http_code}' "$GATEWAY/file"`, "416"},
		{"a file", `curl "$GATEWAY/file" | cmp - "$F" && echo same`, "same\n"},
		{"a file on HTTP/2", `tls "https://a.test:$P/file" | cmp - "$F" && echo same`, "same\n"},
		{"the path as it is", `curl --path-as-is -o /dev/null -w '%{http_code}' "$GATEWAY/a/../file"`, "200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			if got := s.bash(vars + c.script); got != c.want {
				t.Errorf("%s: got %q, want %q", c.script, got, c.want)
			}
		})
	}
}
