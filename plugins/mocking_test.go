package plugins

import (
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"millrace/plugin/plugintest"
)

func TestMockingConfiguration(t *testing.T) {
	checkPriority(t, "mocking", 10900)
	const none = `object matches none of the required: ["response_example"] or ["response_schema"]`
	checkConfs(t, "mocking", []confCase{
		{`{"response_example":"x"}`, ``},
		{`{"response_schema":{"type":"object"},"content_type":"text/xml","delay":1,"response_status":100,"with_mock_header":false,"response_headers":{"X":1}}`, ``},
		{`{}`, none},
		{`{"delay":1}`, none},
		{`{"response_example":"x","response_status":99}`, `property "response_status" validation failed: expected 99 to be at least 100`},
		{`{"response_example":"x","content_type":"image/jpeg"}`, `unsupported content type!`},
		{`{"response_example":"x","content_type":"text/plain; charset=a"}`, ``},
		{`{"response_example":"x","response_headers":{}}`, `property "response_headers" validation failed: expect object to have at least 1 properties`},
		{`{"response_schema":{"properties":1}}`, `response_schema is not valid`},
	})
}

func TestMockingExample(t *testing.T) {
	cases := []struct {
		conf   string
		status int
		kind   string
		by     string
		body   string
	}{
		{`{"response_example":"hello world"}`, 200, "application/json;charset=utf8", "APISIX/3.18.0", "hello world"},
		{`{"response_example":"hi $arg_a on $remote_addr","with_mock_header":false,"response_status":201,"content_type":"text/plain"}`, 201, "text/plain", "", "hi 1 on 127.0.0.1"},
		{`{"response_example":"","response_schema":{"type":"string"}}`, 200, "application/json;charset=utf8", "APISIX/3.18.0", ""},
	}
	for _, tc := range cases {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"mocking":`+tc.conf+`}`)
		res := plugintest.Run(chain, request("GET /?a=1"))
		if res.Status != tc.status || string(res.Body) != tc.body || res.Header.Get("Content-Type") != tc.kind || res.Header.Get("X-Mock-By") != tc.by {
			t.Errorf("%s: %d %q %q", tc.conf, res.Status, res.Body, res.Header)
		}
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"mocking":{"response_example":"x","response_headers":{"X-Apisix":"is, cool","X-N":10,"X-U":"$uri","Content-Type":"text/html"}}}`)
	if h := plugintest.Run(chain, request("GET /")).Header; h.Get("X-Apisix") != "is, cool" || h.Get("X-N") != "10" || h.Get("X-U") != "/" || h.Get("Content-Type") != "application/json;charset=utf8" {
		t.Errorf("headers %q", h)
	}
}

const mockingObject = `{"type":"object","properties":{
	"s":{"type":"string"},"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},
	"e":{"type":"string","example":"<kept>"},
	"l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer","example":5}}}}}}`

func TestMockingSchema(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"mocking":{"response_schema":`+mockingObject+`}}`)
	for range 100 {
		body := gjson.ParseBytes(plugintest.Run(chain, request("GET /")).Body)
		i, n := body.Get("i").Num, body.Get("n")
		if !regexp.MustCompile(`^[a-z]{1,10}$`).MatchString(body.Get("s").String()) || i < 1 || i > 10000 || i != float64(int(i)) ||
			n.Type != gjson.Number || n.Num < 0 || n.Num >= 10000 || !body.Get("b").IsBool() || body.Get("e").String() != "<kept>" {
			t.Fatalf("%s", body.Raw)
		}
		if l := body.Get("l").Array(); len(l) < 1 || len(l) > 3 || l[0].Raw != `{"x":5}` {
			t.Fatalf("list %s", body.Get("l").Raw)
		}
	}
}

// The types of a schema may be written in any case, and the outermost may be missing.
func TestMockingObjectWithoutType(t *testing.T) {
	for conf, want := range map[string]string{
		`{"properties":{"a":{"type":"Integer","example":1},"l":{"type":"ARRAY"},"b":{"example":2}}}`: `{"a":1,"b":2,"l":[]}`,
		`{}`: `{}`,
	} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"mocking":{"response_schema":`+conf+`}}`)
		if body := string(plugintest.Run(chain, request("GET /")).Body); body != want {
			t.Errorf("%s: %s", conf, body)
		}
	}
}

func TestMockingXML(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"mocking":{"content_type":"text/xml;charset=utf8","response_schema":`+mockingObject+`}}`)
	body := plugintest.Run(chain, request("GET /")).Body
	var got struct {
		XMLName xml.Name `xml:"data"`
		E       string   `xml:"e"`
		L       []struct {
			X int `xml:"x"`
		} `xml:"l"`
	}
	if err := xml.Unmarshal(body, &got); err != nil || got.E != "<kept>" || len(got.L) < 1 || got.L[0].X != 5 {
		t.Errorf("%s: %+v %v", body, got, err)
	}
}

// Arrays within arrays end somewhere.
func TestMockingIsBounded(t *testing.T) {
	schema := `{"type":"string"}`
	for range 40 {
		schema = `{"type":"array","items":` + schema + `}`
	}
	var s mockSchema
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		t.Fatal(err)
	}
	budget := mockNodes
	if text, err := json.Marshal(s.generate(&budget)); err != nil || strings.Count(string(text), "[") > mockNodes {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestMockingDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"mocking":{"response_example":"x","delay":2}}`)
		start := time.Now()
		if res := plugintest.Run(chain, request("GET /")); res.Status != 200 || time.Since(start) != 2*time.Second {
			t.Errorf("%d after %v", res.Status, time.Since(start))
		}
	})
}
