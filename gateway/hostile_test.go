package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// hostile is bytes that a client sends, and what has to come of them.
type hostile struct {
	name, send string
	// answers are the statuses of all answers on the connection. After the bytes
	// comes a request of its own, so that "200 200" says that the connection went on,
	// and one status alone that it was closed and the rest never read.
	answers string
	// sees is what the upstream is sent, without the headers that tell who the client
	// is; "" if it is not called.
	sees string
	// nginx is what a real nginx answers where it does otherwise, with what it sends
	// on if that differs too; see -nginx.
	nginx, nginxSees string
}

// probe follows the bytes of a hostile client on the same connection.
const probe = "GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// get is the head of a GET with more header lines, each ended by CRLF.
func get(target, lines string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n"
}

// post is a POST with framing lines and body bytes as they are.
func post(lines, body string) string {
	return "POST /p HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" + body
}

// chunkedPost is a POST whose body is in the chunked coding.
func chunkedPost(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// sizedPost is a POST as an upstream is sent it.
func sizedPost(body string) string {
	return fmt.Sprintf("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// plain is a GET as an upstream is sent it.
func plain(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// plainWith is a GET of /p with more header lines as an upstream is sent it.
func plainWith(lines string) string { return "GET /p HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" }

const smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

// lengthAttacks are about where a body ends.
var lengthAttacks = []hostile{
	{name: "both lengths", send: post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", smuggled), answers: "400"},
	{name: "both lengths, other order", send: post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", smuggled), answers: "400"},
	{name: "two equal lengths", send: post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), answers: "400"},
	{name: "two lengths", send: post("Content-Length: 3\r\nContent-Length: 30\r\n", "abc"), answers: "400"},
	{name: "list of lengths", send: post("Content-Length: 3, 3\r\n", "abc"), answers: "400"},
	{name: "signed length", send: post("Content-Length: +3\r\n", "abc"), answers: "400"},
	{name: "negative length", send: post("Content-Length: -3\r\n", "abc"), answers: "400"},
	{name: "hexadecimal length", send: post("Content-Length: 0x3\r\n", "abc"), answers: "400"},
	{name: "fraction", send: post("Content-Length: 3.0\r\n", "abc"), answers: "400"},
	{name: "empty length", send: post("Content-Length:\r\n", ""), answers: "400"},
	{name: "length of twenty digits", send: post("Content-Length: 99999999999999999999\r\n", ""), answers: "400"},
	{name: "length with zeros before", send: post("Content-Length: 0003\r\n", "abc"), answers: "200 200", sees: sizedPost("abc")},
	{name: "length with blanks around", send: post("Content-Length:   3  \r\n", "abc"), answers: "200 200", sees: sizedPost("abc")},
	{name: "length with a form feed", send: post("Content-Length: \f3\r\n", "abc"), answers: "400"},
	{name: "length of another name", send: post("Content_Length: 3\r\n", ""), answers: "200 200",
		sees: "POST /p HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\n"},
	{name: "GET with a body", send: "GET /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", answers: "200 200",
		sees: "GET /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
	{name: "POST without a length", send: post("", ""), answers: "200 200", sees: "POST /p HTTP/1.1\r\nHost: a\r\n\r\n"},

	{name: "chunked", send: chunkedPost("3\r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "chunked in odd case", send: post("tRANSFER-ENCODING: cHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "chunked after a tab", send: post("Transfer-Encoding:\tchunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc"), nginx: "501"},
	{name: "chunked before a tab", send: post("Transfer-Encoding: chunked\t\r\n", "3\r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc"), nginx: "501"},
	{name: "chunked, identity", send: post("Transfer-Encoding: chunked, identity\r\n", smuggled), answers: "501"},
	{name: "identity, chunked", send: post("Transfer-Encoding: identity, chunked\r\n", smuggled), answers: "501"},
	{name: "chunked, chunked", send: post("Transfer-Encoding: chunked, chunked\r\n", smuggled), answers: "501"},
	{name: "chunked twice", send: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", smuggled), answers: "400"},
	{name: "chunked, then another", send: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", smuggled), answers: "400"},
	{name: "identity", send: post("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"), answers: "501"},
	{name: "identity alone", send: post("Transfer-Encoding: identity\r\n", ""), answers: "501"},
	{name: "gzip, chunked", send: post("Transfer-Encoding: gzip, chunked\r\n", smuggled), answers: "501"},
	{name: "xchunked", send: post("Transfer-Encoding: xchunked\r\n", smuggled), answers: "501"},
	{name: "quoted coding", send: post("Transfer-Encoding: \"chunked\"\r\n", smuggled), answers: "501"},
	{name: "coding with a parameter", send: post("Transfer-Encoding: chunked;q=1\r\n", smuggled), answers: "501"},
	{name: "junk after chunked", send: post("Transfer-Encoding: chunked x\r\n", smuggled), answers: "501"},
	{name: "vertical tab before chunked", send: post("Transfer-Encoding: \vchunked\r\n", smuggled), answers: "400", nginx: "501"},
	{name: "empty coding", send: post("Transfer-Encoding:\r\n", smuggled), answers: "501"},
	{name: "folded coding", send: post("Transfer-Encoding:\r\n chunked\r\n", smuggled), answers: "400"},
	{name: "blank before the colon of a coding", send: post("Transfer-Encoding : chunked\r\n", smuggled), answers: "400"},
	{name: "coding in HTTP/1.0", send: "POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, answers: "400"},
	{name: "coding of another name", send: post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), answers: "200 200",
		sees: "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n"},
}

// chunkAttacks are about the chunked coding.
var chunkAttacks = []hostile{
	{name: "extension", send: chunkedPost("3;a=b\r\nabc\r\n0;c\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "quoted extension", send: chunkedPost("3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "long extension", send: chunkedPost("3;" + strings.Repeat("a", 8000) + "\r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "huge extension", send: chunkedPost("3;" + strings.Repeat("a", 20_000) + "\r\nabc\r\n0\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "line feed in an extension", send: chunkedPost("3;a\nabc\r\n0\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "carriage return in an extension", send: chunkedPost("3;a\rb\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "NUL in an extension", send: chunkedPost("3;a\x00\r\nabc\r\n0\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "size with blanks after", send: chunkedPost("3 \t \r\nabc\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "size with a blank before", send: chunkedPost(" 3\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "size with zeros before", send: chunkedPost("0003\r\nabc\r\n0000\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "size in capitals", send: chunkedPost("A\r\n0123456789\r\n0\r\n\r\n"), answers: "200 200", sees: sizedPost("0123456789")},
	{name: "signed size", send: chunkedPost("+3\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "negative size", send: chunkedPost("-3\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "0x size", send: chunkedPost("0x3\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "size with an underscore", send: chunkedPost("1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), answers: "400"},
	{name: "size beyond 64 bits", send: chunkedPost("10000000000000003\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "size of the largest number", send: chunkedPost("ffffffffffffffff\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "no size", send: chunkedPost("\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "size then text", send: chunkedPost("3xyz\r\nabc\r\n0\r\n\r\n"), answers: "400"},
	{name: "line feed after the size", send: chunkedPost("3\nabc\r\n0\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "line feed after the data", send: chunkedPost("3\r\nabc\n0\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "chunk longer than its size", send: chunkedPost("3\r\nabcd\r\n0\r\n\r\n"), answers: "400"},
	{name: "chunk shorter than its size", send: chunkedPost("4\r\nabc\r\n0\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc\r")},
	{name: "trailers", send: chunkedPost("3\r\nabc\r\n0\r\nX-T: 1\r\nExpires: 0\r\n\r\n"), answers: "200 200", sees: sizedPost("abc")},
	{name: "forbidden trailers", send: chunkedPost("3\r\nabc\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX-Real-IP: 9.9.9.9\r\n\r\n"),
		answers: "200 200", sees: sizedPost("abc")},
	{name: "bad trailer", send: chunkedPost("3\r\nabc\r\n0\r\nX T: 1\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "folded trailer", send: chunkedPost("3\r\nabc\r\n0\r\nX: 1\r\n 2\r\n\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "huge trailers", send: chunkedPost("3\r\nabc\r\n0\r\n" + strings.Repeat("X-T: 1234567890\r\n", 2000) + "\r\n"), answers: "400", nginx: "200 200", nginxSees: sizedPost("abc")},
	{name: "empty", send: chunkedPost("0\r\n\r\n"), answers: "200 200", sees: sizedPost("")},
	{name: "a request behind the end", send: chunkedPost(smuggled), answers: "200 200 200", sees: sizedPost("") + plain("/smuggled")},
}

// lineAttacks are about where lines and headers end.
var lineAttacks = []hostile{
	{name: "bare LF", send: "GET /p HTTP/1.1\nHost: a\n\n", answers: "400", nginx: "200 200", nginxSees: plain("/p")},
	{name: "bare LF after a header", send: "GET /p HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", answers: "400", nginx: "200 200", nginxSees: plainWith("X: 1\r\n")},
	{name: "bare LF at the end", send: "GET /p HTTP/1.1\r\nHost: a\r\n\n", answers: "400", nginx: "200 200", nginxSees: plain("/p")},
	{name: "bare CR in a value", send: get("/p", "X: 1\rY: 2\r\n"), answers: "400"},
	{name: "bare CR as line end", send: "GET /p HTTP/1.1\rHost: a\r\r", answers: "400"},
	{name: "two CR", send: get("/p", "X: 1\r\r\n"), answers: "400", nginx: "200 200", nginxSees: plainWith("X: 1\r\n")},
	{name: "NUL in a value", send: get("/p", "X: a\x00b\r\n"), answers: "400"},
	{name: "NUL in a name", send: get("/p", "X\x00: a\r\n"), answers: "400"},
	{name: "control in a value", send: get("/p", "X: a\x01b\r\n"), answers: "400", nginx: "200 200", nginxSees: plainWith("X: a\x01b\r\n")},
	{name: "DEL in a value", send: get("/p", "X: a\x7fb\r\n"), answers: "400", nginx: "200 200", nginxSees: plainWith("X: a\x7fb\r\n")},
	{name: "byte above ASCII in a value", send: get("/p", "X: \xe9\r\n"), answers: "200 200", sees: plainWith("X: \xe9\r\n")},
	{name: "folded header", send: get("/p", "X: 1\r\n 2\r\n"), answers: "400"},
	{name: "folded first header", send: "GET /p HTTP/1.1\r\n Host: a\r\n\r\n", answers: "400"},
	{name: "header folded with a tab", send: get("/p", "X: 1\r\n\t2\r\n"), answers: "400"},
	{name: "blank before the colon", send: get("/p", "X : 1\r\n"), answers: "400"},
	{name: "tab before the colon", send: get("/p", "X\t: 1\r\n"), answers: "400"},
	{name: "no name", send: get("/p", ": 1\r\n"), answers: "400"},
	{name: "no colon", send: get("/p", "X\r\n"), answers: "400", nginx: "200 200", nginxSees: plainWith("X: \r\n")},
	{name: "blank in a name", send: get("/p", "X Y: 1\r\n"), answers: "400"},
	{name: "name above ASCII", send: get("/p", "X\xe9: 1\r\n"), answers: "400", nginx: "200 200", nginxSees: plain("/p")},
	{name: "name of odd characters", send: get("/p", "X(: 1\r\n"), answers: "400", nginx: "200 200", nginxSees: plain("/p")},
	{name: "name with a dot", send: get("/p", "X.Y: 1\r\n"), answers: "200 200", sees: plainWith("X.Y: 1\r\n"), nginx: "200 200", nginxSees: plain("/p")},
	{name: "name with an underscore", send: get("/p", "X_Y: 1\r\n"), answers: "200 200", sees: plainWith("X_Y: 1\r\n")},
	{name: "empty value", send: get("/p", "X:\r\n"), answers: "200 200", sees: plainWith("X: \r\n")},
	{name: "empty lines before", send: "\r\n\r\n" + get("/p", ""), answers: "200 200", sees: plain("/p")},
	{name: "blank line before", send: " \r\n" + get("/p", ""), answers: "400"},
	{name: "long header", send: get("/p", "X: "+strings.Repeat("a", 8100)+"\r\n"), answers: "200 200",
		sees: plainWith("X: " + strings.Repeat("a", 8100) + "\r\n")},
	{name: "overlong header", send: get("/p", "X: "+strings.Repeat("a", 8190)+"\r\n"), answers: "400"},
	{name: "long line", send: get("/"+strings.Repeat("a", 8100), ""), answers: "200 200", sees: plain("/" + strings.Repeat("a", 8100))},
	{name: "overlong line", send: get("/"+strings.Repeat("a", 8190), ""), answers: "414"},
	{name: "longest header", send: get("/p", "X: "+strings.Repeat("a", 8192-5)+"\r\n"), answers: "200 200",
		sees: plainWith("X: " + strings.Repeat("a", 8192-5) + "\r\n")},
	{name: "header longer by one", send: get("/p", "X: "+strings.Repeat("a", 8193-5)+"\r\n"), answers: "400"},
	{name: "longest line", send: get("/"+strings.Repeat("a", 8192-16), ""), answers: "200 200", sees: plain("/" + strings.Repeat("a", 8192-16))},
	{name: "line longer by one", send: get("/"+strings.Repeat("a", 8193-16), ""), answers: "414"},
	{name: "headers together", send: get("/p", strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 40)), answers: "400"},
	{name: "many headers", send: get("/p", strings.Repeat("X: 1234567890\r\n", 4000)), answers: "400"},
}

// attack sends the bytes and the probe to addr and answers the statuses of what
// comes back. Every answer but the last must keep the connection.
func attack(t *testing.T, dial func() *client, send string) string {
	t.Helper()
	c := dial()
	defer c.Close()
	_, _ = io.WriteString(c.Conn, send+probe) // a refusal may end it early
	var statuses []string
	r := bufio.NewReader(c.Conn)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return strings.Join(statuses, " ")
		}
		if res.StatusCode >= 200 { // whether a 100 comes depends on whether the body was there already
			statuses = append(statuses, fmt.Sprint(res.StatusCode))
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Errorf("the body of a %d: %v", res.StatusCode, err)
			}
		}
		if closed := res.StatusCode >= 400; closed != res.Close && closed {
			t.Errorf("the connection goes on after a %d", res.StatusCode)
		}
	}
}

var identity = regexp.MustCompile(`(?m)^X-(Real-IP|Forwarded-(For|Proto|Host|Port)): .*\r\n`)

// taken answers what the server has been sent since the last call, without the probe
// and without what tells who the client is.
func (s *server) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := ""
	for _, r := range s.requests {
		if !strings.HasPrefix(r, "GET /probe ") {
			all += identity.ReplaceAllString(r, "")
		}
	}
	s.requests = nil
	return all
}

// No bytes that a client sends reach an upstream as anything else than what the
// gateway took them for, and what is refused ends its connection.
func TestHostileClients(t *testing.T) {
	up := ok(t, "x")
	r := start(t, nil)
	r.route("1", "/*", up.addr)
	dial, other := r.dial, false
	if *nginxPath != "" {
		dial, other = startNginx(t, up.addr), true
	}
	for group, attacks := range map[string][]hostile{
		"length": lengthAttacks, "chunk": chunkAttacks, "line": lineAttacks, "target": targetAttacks, "upgrade": upgradeAttacks,
	} {
		for _, a := range attacks {
			t.Run(group+"/"+a.name, func(t *testing.T) {
				wantAnswers, wantSees := a.answers, a.sees
				if other && a.nginx != "" {
					wantAnswers, wantSees = strings.Trim(a.nginx, "-"), a.nginxSees
				}
				got := attack(t, dial, a.send)
				if got != wantAnswers {
					t.Errorf("answers %q, want %q", got, wantAnswers)
				}
				if sees := up.taken(); sees != wantSees {
					t.Errorf("the upstream was sent\n%q, want\n%q", sees, wantSees)
				}
			})
		}
	}
}
