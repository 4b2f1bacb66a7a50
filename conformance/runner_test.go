package conformance

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

func TestParseErrors(t *testing.T) {
	const expect = "-- expect --\nstatus 200\n"
	cases := []struct{ script, want string }{
		{"", "pairs of a case"},
		{"-- t/a --\ngateway GET /\n", "pairs of a case"},
		{"-- t/a --\ngateway GET /\n-- t/b --\n", "not followed by expect"},
		{"-- a --\ngateway GET /\n" + expect, "does not begin with an origin"},
		{"-- t/a --\nGET /\n" + expect, "bad request line"},
		{"-- t/a --\nelsewhere GET /\n" + expect, "bad request line"},
		{"-- t/a --\ngateway GET /\nHeader\n" + expect, "bad header line"},
		{"-- t/a --\ngateway GET /\n-- expect --\n", "nothing is expected"},
		{"-- t/a --\ngateway GET /\n-- expect --\nstatus ok\n", "invalid syntax"},
		{"-- t/a --\ngateway GET /\n-- expect --\nfine\n", "no such expectation"},
		{"-- t/a --\ngateway GET /\n-- expect --\nbody ~ (\n", "missing closing )"},
		{"-- t/a --\ngateway GET /\n-- expect --\nbody text\n", "invalid syntax"},
		{"-- t/a --\ngateway GET /\n-- expect --\nheader A\n", "neither a value nor a pattern"},
		{"-- t/a --\ngateway GET / over h4\n" + expect, "bad request line"},
		{"-- t/a --\ngateway GET /\n  colour red\n" + expect, "no such word about a connection"},
		{"-- t/a --\ngateway GET /\n  tls 1.4\n" + expect, "no such version of TLS"},
		{"-- t/a --\ngateway SEND\nGET\n" + expect, "is no quoted string"},
		{"-- t/a --\ngateway GET /\n-- expect --\nno way\n", "neither header nor answer"},
		{"-- t/a --\ngateway GET /\n-- expect --\nanswers x\n", "invalid syntax"},
		{"-- config.yaml --\na: b\n-- t/a --\ngateway GET /\n", "pairs of a case"},
	}
	for _, tc := range cases {
		if _, err := parse(txtar.Parse([]byte(tc.script))); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %s", tc.script, err, tc.want)
		}
	}
}

// The runner must see what is wrong, and nothing else.
func TestRunner(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Target", r.RequestURI)
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-Key", r.Header.Get("X-API-KEY"))
		w.Header().Set("X-Repeated", r.Header.Get("X-Repeated"))
		w.WriteHeader(201)
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	target := Target{Bases: map[string]string{"gateway": srv.URL}, AdminKey: "secret", Vars: map[string]string{"own": "variable"}}
	const request = "-- t/x --\ngateway POST /a%2Fb/../c?{{own}}\nHost: a.example\nX-API-KEY: {{admin_key}}\nX-Repeated: {{ab*3}}\n\n{\"a\":[1,\"{{own}}\"],\n\n\"b\":{}}\n-- expect --\n"
	cases := []struct{ expect, problem string }{
		{"status 200 201", ""},
		{"status 200", "status 201, want [200]"},
		{"header X-Target: /a%2Fb/../c?variable", ""},
		{"header X-Repeated: ababab", ""},
		{"header X-Host: a.example", ""},
		{"header X-Key: secret", ""},
		{"header X-Key: other", `header X-Key is "secret", want "other"`},
		{"header X-Key ~ ^sec", ""},
		{"header X-Key ~ ^x", `header X-Key is "secret", want a match of ^x`},
		{"no header X-None", ""},
		{"no header X-Key", `header X-Key is there: ["secret"]`},
		{`body "{\"a\":[1,\"variable\"],\n\n\"b\":{}}"`, ""},
		{`body ""`, `the body is not ""`},
		{"body ~ variable", ""},
		{"body ~ ^variable", "the body does not match ^variable"},
		{"capture got a.1\nbody ~ {{got}}|variable", ""},
		{"capture got c", "the body has no c"},
		{"protocol HTTP/1.1", ""},
		{"protocol HTTP/2.0", "the protocol is HTTP/1.1, want HTTP/2.0"},
		{"tls 1.3", "the connection is without TLS"},
		{`at a [1,"variable"]`, ""},
		{"at a.0 2", "the body is 1, want 2"},
		{"at c 2", "the body has no c"},
		{"decoded a 2", "a of the body: illegal base64 data at input byte 0"},
		{`json {"a":[1,"{{own}}"],"b":{}}`, ""},
		{`json {"a":"<any>",` + "\n" + `"...":"..."}`, ""},
		{`json {"a":["<number>","<~ ^var>"],"b":{}}`, ""},
		{`json {"a":[1,"..."],"b":{}}`, ""},
		{`json {"a":"<any>"}`, ".b is not expected: map[]"},
		{`json {"...":"...","c":1}`, ".c is missing"},
		{`json {"...":"...","a":[1]}`, ".a has 2 elements, want 1"},
		{`json {"...":"...","a":[1,2]}`, ".a[1] is variable, want 2"},
		{`json {"...":"...","a":[1,"<~ ^x>"]}`, `.a[1] is variable, want "<~ ^x>"`},
		{`json {"...":"...","a":[1,"<number>"]}`, `.a[1] is variable, want "<number>"`},
		{`json {"...":"...","b":[]}`, ".b is map[], want an array"},
		{`json []`, "the body is map[a:[1 variable] b:map[]], want an array"},
	}
	for _, tc := range cases {
		parsed, err := parse(txtar.Parse([]byte(request + tc.expect + "\n")))
		if err != nil {
			t.Errorf("%s: %v", tc.expect, err)
			continue
		}
		problems := newRun(target).try(&parsed.cases[0])
		if tc.problem == "" && len(problems) > 0 || tc.problem != "" && (len(problems) == 0 || problems[0] != tc.problem) {
			t.Errorf("%s: got %q, want %q", tc.expect, problems, tc.problem)
		}
	}
}

func TestRunnerTriesAgain(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls < 3 {
			w.WriteHeader(404)
		}
	}))
	defer srv.Close()
	parsed, err := parse(txtar.Parse([]byte("-- t/x --\nwhisk GET /\n-- expect --\nstatus 200\neventually\n")))
	if err != nil {
		t.Fatal(err)
	}
	bases := map[string]string{"whisk": srv.URL}
	if problems := newRun(Target{Bases: bases}).try(&parsed.cases[0]); len(problems) == 0 {
		t.Error("tried again without time to settle")
	}
	if problems := newRun(Target{Bases: bases, Settle: time.Minute}).try(&parsed.cases[0]); len(problems) > 0 {
		t.Error(problems)
	}
}

// served starts what answers each connection, and answers its address.
func served(t *testing.T, ln net.Listener, serve func(net.Conn)) string {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// What is said byte by byte, with TLS and without.
func TestConversations(t *testing.T) {
	r := newRun(Target{Bases: map[string]string{}})
	cert, err := r.vars.authority.client("a.example,b.example one")
	if err != nil {
		t.Fatal(err)
	}
	r.bases["tcp"] = served(t, listenLoopback(t), func(c net.Conn) {
		line := make([]byte, 4)
		_, _ = io.ReadFull(c, line)
		if string(line) == "two\n" {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		} else if string(line) != "bye\n" {
			_, _ = c.Write(line)
		}
	})
	r.bases["tls"] = served(t, tls.NewListener(listenLoopback(t), &tls.Config{
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if hello.ServerName != "a.example" {
				return nil, errors.New("unknown name")
			}
			return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert}, nil
		},
	}), func(c net.Conn) {
		line := make([]byte, 4)
		if _, err := io.ReadFull(c, line); err != nil {
			return
		}
		name := "nobody"
		if shown := c.(*tls.Conn).ConnectionState().PeerCertificates; len(shown) > 0 {
			name = shown[0].DNSNames[0]
		}
		_, _ = io.WriteString(c, name)
	})
	const tlsTo = "tls SEND\n  sni a.example\n"
	cases := []struct{ request, expect, problem string }{
		{"tcp SEND\n\"abc\\n\"", `received "abc\n"`, ""},
		{"tcp SEND\n\"ab\"\n\"c\\n\"", "received ~ ^abc\nclosed", ""},
		{"tcp SEND\n\"abc\\n\"", `received "abd\n"`, `what was received is not "abd\n"`},
		{"tcp SEND\n\"abc\\n\"", "no answer", "there is an answer, or the connection stays open"},
		{"tcp SEND\n\"bye\\n\"", "no answer", ""},
		{"tcp SEND\n\"bye\\n\"", "closed", "EOF"},
		{"tcp SEND\n\"two\\n\"", "status 200\nbody \"a\"\nanswers 2\nclosed", ""},
		{"tcp SEND\n\"two\\n\"", "answers 1\nclosed", "there are 2 answers, want 1"},
		{tlsTo + "\"abc\\n\"", "received \"nobody\"\ncertificate a.example,b.example one\ntls 1.3\nalpn none", ""},
		{tlsTo + "  certificate me.example\n\"abc\\n\"", `received "me.example"`, ""},
		{tlsTo + "  tls 1.2\n  alpn http/1.1\n\"abc\\n\"", "tls 1.2\nalpn http/1.1", ""},
		{tlsTo + "\"abc\\n\"", "certificate b.example", `the certificate is for "a.example,b.example one", want that for "b.example"`},
		{tlsTo + "\"abc\\n\"", "tls 1.2", "TLS is version 0x304, want 1.2"},
		{tlsTo + "\"abc\\n\"", "alpn h2", "TLS negotiated none, want h2"},
		{"tls SEND\n  sni c.example\n\"abc\\n\"", "no answer", ""},
		{"tls SEND\n\"abc\\n\"", "no answer", ""},
	}
	for _, tc := range cases {
		parsed, err := parse(txtar.Parse([]byte("-- t/x --\n" + tc.request + "\n-- expect --\n" + tc.expect + "\n")))
		if err != nil {
			t.Errorf("%s: %v", tc.request, err)
			continue
		}
		problems := r.try(&parsed.cases[0])
		if tc.problem == "" && len(problems) > 0 || tc.problem != "" && (len(problems) == 0 || problems[0] != tc.problem) {
			t.Errorf("%s, %s: got %q, want %q", tc.request, tc.expect, problems, tc.problem)
		}
	}
}

func TestVariables(t *testing.T) {
	v := newVariables(Target{Bases: map[string]string{"gateway": "http://127.0.0.1:9080", "tcp": "[::1]:9100"}, AdminKey: "key", WhiskKey: "u:p"})
	for text, want := range map[string]string{
		"{{gateway}} {{gateway_addr}} {{gateway_host}} {{gateway_port}}": "http://127.0.0.1:9080 127.0.0.1:9080 127.0.0.1 9080",
		"{{tcp_addr}} {{tcp_host}} {{tcp_port}}":                         "[::1]:9100 ::1 9100",
		"{{admin_key}} {{whisk_auth}} {{whisk_uuid}}":                    "key dTpw u",
		"{{base64 u:p}} {{ab*2}} {{nothing}}":                            "dTpw abab {{nothing}}",
	} {
		if got := v.expand(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	cert, key := v.expand("{{cert a.example}}"), v.expand("{{key a.example}}")
	if _, err := tls.X509KeyPair([]byte(strings.ReplaceAll(cert, `\n`, "\n")), []byte(strings.ReplaceAll(key, `\n`, "\n"))); err != nil {
		t.Error(err)
	}
	if cert != v.expand("{{cert a.example}}") || cert == v.expand("{{cert a.example again}}") {
		t.Error("certificates of one name are one, of another are others")
	}
	if ca := v.expand("{{ca}}"); !strings.HasPrefix(ca, `-----BEGIN CERTIFICATE-----\n`) || ca == cert {
		t.Errorf("the authority is %s", ca)
	}
}
