package plugins

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// answerCase is what OpenWhisk answers and what the client gets for it.
type answerCase struct {
	name   string
	status int // OpenWhisk's; 0 means 200
	raw    string
	want   answerWant
}

type answerWant struct {
	Status int
	Body   string
	Page   bool
	Header http.Header
	Drop   bool
	Failed bool // the gateway logs it and answers with the page of 500
}

var answerCases = []answerCase{
	{"empty", 0, ``, answerWant{Status: 503, Page: true}},
	{"not JSON", 0, `<html>`, answerWant{Status: 503, Page: true}},
	{"two values", 0, `{} {}`, answerWant{Status: 503, Page: true}},
	{"false", 0, `false`, answerWant{Status: 503, Page: true}},
	{"false among white space", 0, " \r\n\tfalse ", answerWant{Status: 503, Page: true}},
	{"nested without end", 0, strings.Repeat(`[`, 1<<20), answerWant{Status: 503, Page: true}},
	{"nested too deep", 0, strings.Repeat(`[`, 1<<20) + strings.Repeat(`]`, 1<<20), answerWant{Status: 503, Page: true}},
	{"nested", 0, `{"a":` + strings.Repeat(`[`, 2000) + strings.Repeat(`]`, 2000) + `}`,
		answerWant{Status: 200, Body: `{"a":` + strings.Repeat(`[`, 2000) + strings.Repeat(`]`, 2000) + `}`}},

	{"plain object", 0, `{ "hello" : "world" }`, answerWant{Status: 200, Body: `{ "hello" : "world" }`}},
	{"empty object", 0, `{}`, answerWant{Status: 200, Body: `{}`}},
	{"array", 0, `[1,{"statusCode":404}]`, answerWant{Status: 200, Body: `[1,{"statusCode":404}]`}},
	{"string", 0, ` "body"`, answerWant{Status: 200, Body: ` "body"`}},
	{"number", 0, `5`, answerWant{Failed: true}},
	{"true", 0, `true`, answerWant{Failed: true}},
	{"null", 0, `null`, answerWant{Failed: true}},

	{"401", 401, `{"code":"a","error":"The supplied authentication is invalid."}`, answerWant{Status: 401, Body: `{"code":"a","error":"The supplied authentication is invalid."}`}},
	{"404", 404, `{"error":"The requested resource does not exist."}`, answerWant{Status: 404, Body: `{"error":"The requested resource does not exist."}`}},
	{"429", 429, `{"error":"Too many"}`, answerWant{Status: 429, Body: `{"error":"Too many"}`}},
	{"502", 502, `{"error":"An error has occurred"}`, answerWant{Status: 502, Body: `{"error":"An error has occurred"}`}},
	{"202", 202, `{"activationId":"0123"}`, answerWant{Status: 202, Body: `{"activationId":"0123"}`}},
	{"302", 302, `{"a":1}`, answerWant{Status: 302, Body: `{"a":1}`}},
	{"an activation", 0, `{"activationId":"1","response":{"result":{"statusCode":404}}}`,
		answerWant{Status: 200, Body: `{"activationId":"1","response":{"result":{"statusCode":404}}}`}},

	{"statusCode", 0, `{"statusCode":407}`, answerWant{Status: 407, Body: `{"statusCode":407}`}},
	{"statusCode over another status", 502, `{"statusCode":418,"body":"tea"}`, answerWant{Status: 418, Body: "tea"}},
	{"statusCode 204", 0, `{"statusCode":204,"body":"gone"}`, answerWant{Status: 204}},
	{"statusCode 304", 0, `{"statusCode":304,"body":{"a":1}}`, answerWant{Status: 304}},
	{"statusCode 0", 0, `{"statusCode":0,"body":"a"}`, answerWant{Status: 200, Body: "a"}},
	{"statusCode 1000", 0, `{"statusCode":1000,"body":"a"}`, answerWant{Status: 200, Body: "a"}},
	{"statusCode 999", 0, `{"statusCode":999,"body":"a"}`, answerWant{Status: 999, Body: "a"}},
	{"statusCode 1e999", 0, `{"statusCode":1e999,"body":"a"}`, answerWant{Status: 200, Body: "a"}},
	{"statusCode 99", 0, `{"statusCode":99,"body":"a"}`, answerWant{Drop: true}},
	{"statusCode below 0", 0, `{"statusCode":-5}`, answerWant{Drop: true}},
	{"statusCode 1xx", 0, `{"statusCode":101,"body":"a"}`, answerWant{Failed: true}},
	{"statusCode with a fraction", 0, `{"statusCode":201.9,"body":"a"}`, answerWant{Status: 201, Body: "a"}},
	{"statusCode string", 0, `{"statusCode":"200","headers":{"a":"b"}}`, answerWant{Failed: true}},
	{"statusCode null", 0, `{"statusCode":null}`, answerWant{Failed: true}},
	{"statusCode true", 0, `{"statusCode":true}`, answerWant{Failed: true}},
	{"statusCode false", 0, `{"statusCode":false,"body":"a"}`, answerWant{Status: 200, Body: "a"}},
	{"statusCode twice", 0, `{"statusCode":404,"statusCode":405,"body":""}`, answerWant{Status: 405}},
	{"statusCode with an escape in its name", 0, `{"status\u0043ode":404,"body":""}`, answerWant{Status: 404}},

	{"body object", 0, `{"body": {"b" : [1, 2.50 ], "a":"x y\"\/\\/z", "e":{}, "f":[ ]} }`,
		answerWant{Status: 200, Body: `{"b":[1,2.50],"a":"x y\"/\\/z","e":{},"f":[]}` + "\n"}},
	{"body array", 0, `{"body":[ 1 ]}`, answerWant{Status: 200, Body: "[1]\n"}},
	{"body text", 0, `{"body":"<b>\u00e9\n</b>"}`, answerWant{Status: 200, Body: "<b>é\n</b>"}},
	{"body empty text", 0, `{"body":""}`, answerWant{Status: 200}},
	{"body empty text, 404", 0, `{"body":"","statusCode":404}`, answerWant{Status: 404}},
	{"body number", 0, `{"body":5}`, answerWant{Status: 200, Body: "5"}},
	{"body whole number with a fraction", 0, `{"body":5.0}`, answerWant{Status: 200, Body: "5"}},
	{"body fraction", 0, `{"body":0.1}`, answerWant{Status: 200, Body: "0.1"}},
	{"body third", 0, `{"body":0.3333333333333333333}`, answerWant{Status: 200, Body: "0.33333333333333"}},
	{"body large number", 0, `{"body":1e20}`, answerWant{Status: 200, Body: "1e+20"}},
	{"body 14 digits", 0, `{"body":12345678901234}`, answerWant{Status: 200, Body: "12345678901234"}},
	{"body true", 0, `{"body":true}`, answerWant{Status: 200, Body: "true"}},
	{"body null", 0, `{"body":null}`, answerWant{Status: 200, Body: "null"}},
	{"body false", 0, `{"body":false}`, answerWant{Status: 200, Body: `{"body":false}`}},

	{"headers", 0, `{"headers":{"test":"header","n":5,"f":1.5,"t":true,"o":false},"body":""}`,
		answerWant{Status: 200, Header: http.Header{"Test": {"header"}, "N": {"5"}, "F": {"1.5"}, "T": {"true"}, "O": {"false"}}}},
	{"headers without body", 0, `{"headers":{"test":"header"}}`,
		answerWant{Status: 200, Body: `{"headers":{"test":"header"}}`, Header: http.Header{"Test": {"header"}}}},
	{"header given several times", 0, `{"headers":{"Set-Cookie":["a=1","b=2",3,true,null,"",{}]},"body":""}`,
		answerWant{Status: 200, Header: http.Header{"Set-Cookie": {"a=1", "b=2", "3", "true"}}}},
	{"headers array", 0, `{"headers":["a","b"],"body":""}`, answerWant{Status: 200, Header: http.Header{"1": {"a"}, "2": {"b"}}}},
	{"headers removed", 0, `{"headers":{"X-Before":""},"body":""}`, answerWant{Status: 200, Header: http.Header{"X-Before": nil}}},
	{"headers removed by an empty array", 0, `{"headers":{"x-before":[]},"body":""}`, answerWant{Status: 200, Header: http.Header{"X-Before": nil}}},
	{"headers removed by an object", 0, `{"headers":{"x-before":{"a":1}},"body":""}`, answerWant{Status: 200, Header: http.Header{"X-Before": nil}}},
	{"header null", 0, `{"headers":{"X-Before":null},"body":""}`, answerWant{Status: 200}},
	{"headers null", 0, `{"headers":null,"body":""}`, answerWant{Status: 200}},
	{"headers text", 0, `{"headers":"a: b","body":""}`, answerWant{Status: 200}},
	{"headers number", 0, `{"headers":5,"body":""}`, answerWant{Status: 200}},
	{"headers false", 0, `{"headers":false,"body":""}`, answerWant{Status: 200}},
	{"header underscore", 0, `{"headers":{"x_under":"a"},"body":""}`, answerWant{Status: 200, Header: http.Header{"X-Under": {"a"}}}},
	{"header value with a line end", 0, `{"headers":{"a":"1\r\nEvil: 2","t":"x\ty\u0000\u007f"},"body":""}`,
		answerWant{Status: 200, Header: http.Header{"A": {"1%0D%0AEvil: 2"}, "T": {"x\ty%00%7F"}}}},
	{"header name with a line end", 0, `{"headers":{"a\r\nEvil":"1","b c:d":"2","\u00e9":"3","":"4"},"body":""}`,
		answerWant{Status: 200, Header: http.Header{"A%0d%0aevil": {"1"}, "B%20c%3ad": {"2"}, "%c3%a9": {"3"}}}},
	{"framing headers", 0, `{"headers":{"content-length":"1","Transfer_Encoding":"chunked","Connection":"close","upgrade":"x","trailer":"y","keep-alive":"z","te":"t"},"body":"abc"}`,
		answerWant{Status: 200, Body: "abc"}},
}

// localStub is the OpenWhisk of this process; it answers what a case says.
type localStub struct {
	status int
	body   string
	local  bool
	calls  []InvokeCall
}

func (s *localStub) Invoke(_ context.Context, call *InvokeCall) (int, []byte, bool) {
	s.calls = append(s.calls, *call)
	return s.status, []byte(s.body), s.local
}

// Every case must come out the same over HTTP and from this process.
func TestOpenwhiskAnswers(t *testing.T) {
	current := make(chan answerCase, 1)
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tc := <-current
		// None of these may reach the client.
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Openwhisk-Activation-Id", "0123")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(tc.status)
		_, _ = w.Write([]byte(tc.raw))
	}))
	defer stub.Close()
	conf := openwhiskConf(stub.URL, ``)
	local := &localStub{local: true}
	overHTTP := plugintest.Compile(t, plugintest.Env(t), conf)
	fused := plugintest.Compile(t, plugintest.Env(t, local), conf)

	for _, tc := range answerCases {
		if tc.status == 0 {
			tc.status = 200
		}
		want := tc.want
		header := http.Header{"X-Before": {"stays"}}
		for name, values := range tc.want.Header {
			header[name] = values
			if values == nil {
				delete(header, name)
			}
		}
		want.Header = header
		t.Run(tc.name+"/HTTP", func(t *testing.T) {
			current <- tc
			checkAnswer(t, overHTTP, want)
		})
		t.Run(tc.name+"/fused", func(t *testing.T) {
			local.status, local.body = tc.status, tc.raw
			checkAnswer(t, fused, want)
		})
	}
}

func checkAnswer(t *testing.T, chain *plugin.Chain, want answerWant) {
	t.Helper()
	c := plugintest.NewContext(httptest.NewRequest("GET", "/hello", nil))
	c.Response.SetHeader("X-Before", "stays")
	res := plugintest.RunContext(chain, c)
	got := answerWant{Status: res.Status, Body: string(res.Body), Page: res.Page, Header: res.Header,
		Drop: res.Err == plugin.ErrDrop, Failed: res.Err != nil && res.Err != plugin.ErrDrop}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got) %s\nerror: %v", diff, res.Err)
	}
}

// Whatever an action returns, the answer must be one that can be sent.
func FuzzOpenwhiskAnswer(f *testing.F) {
	for _, tc := range answerCases {
		if len(tc.raw) < 1000 {
			f.Add(tc.raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if checkResult(200, []byte(raw)) != nil {
			return
		}
		c := plugintest.NewContext(httptest.NewRequest("GET", "/hello", nil))
		if answerAs(c, 200, []byte(raw)) != plugin.ErrExit {
			return
		}
		status, body, _ := c.Exited()
		if status < 200 || status > 999 {
			t.Errorf("status %d", status)
		}
		if _, ok := body.([]byte); !ok {
			t.Errorf("body %T", body)
		}
		c.Response.Headers(func(name, value []byte) bool {
			if len(name) == 0 || strings.ContainsAny(string(name), " :\r\n\x00") || strings.ContainsAny(string(value), "\r\n\x00") {
				t.Errorf("header %q: %q", name, value)
			}
			return true
		})
	})
}
