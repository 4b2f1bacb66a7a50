package cjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{``, `Expected value but found T_END at character 1`},
		{`  `, `Expected value but found T_END at character 3`},
		{`{`, `Expected object key string but found T_END at character 2`},
		{`{abc`, `Expected object key string but found invalid token at character 2`},
		{`{1:2}`, `Expected object key string but found T_NUMBER at character 2`},
		{`{"a"}`, `Expected colon but found T_OBJ_END at character 5`},
		{`{"a" "b"}`, `Expected colon but found T_STRING at character 6`},
		{`{"a":}`, `Expected value but found T_OBJ_END at character 6`},
		{`{"a":,}`, `Expected value but found T_COMMA at character 6`},
		{`{"a":1 "b":2}`, `Expected comma or object end but found T_STRING at character 8`},
		{`{"a":1`, `Expected comma or object end but found T_END at character 7`},
		{`{"a":1]`, `Expected comma or object end but found T_ARR_END at character 7`},
		{`{"a":1,}`, `Expected object key string but found T_OBJ_END at character 8`},
		{`[1 2]`, `Expected comma or array end but found T_NUMBER at character 4`},
		{`[1,]`, `Expected value but found T_ARR_END at character 4`},
		{`[1:2]`, `Expected comma or array end but found T_COLON at character 3`},
		{`[1}`, `Expected comma or array end but found T_OBJ_END at character 3`},
		{`{} {}`, `Expected the end but found T_OBJ_BEGIN at character 4`},
		{`[][`, `Expected the end but found T_ARR_BEGIN at character 3`},
		{`1 true`, `Expected the end but found T_BOOLEAN at character 3`},
		{`1 null`, `Expected the end but found T_NULL at character 3`},
		{`abc`, `Expected value but found invalid token at character 1`},
		{`tru`, `Expected value but found invalid token at character 1`},
		{`"abc`, `Expected value but found unexpected end of string at character 5`},
		{`"a\x"`, `Expected value but found invalid escape code at character 3`},
		{`"a\u12"`, `Expected value but found invalid unicode escape code at character 3`},
		{`"\ud800"`, `Expected value but found invalid unicode escape code at character 2`},
		{`"\udc00\ud800"`, `Expected value but found invalid unicode escape code at character 2`},
		{`-`, `Expected value but found invalid number at character 1`},
		{`01`, `Expected value but found invalid number at character 1`},
		{`0x10`, `Expected value but found invalid number at character 1`},
		{`1.`, `Expected value but found invalid number at character 1`},
		{`1e`, `Expected value but found invalid number at character 1`},
		{"1\x00", `Expected the end but found T_END at character 2`},
		{strings.Repeat("[", 1001), `Found too many nested data structures (1001) at character 1001`},
	}
	for _, tt := range tests {
		if _, err := Normalize([]byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%.40q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestNormalize(t *testing.T) {
	for text, want := range map[string]string{
		` {"a" : [1, -2.5e+3, 0, true, false, null, "\u00e9\ud83d\ude00\n"] } `: ` {"a" : [1, -2.5e+3, 0, true, false, null, "\u00e9\ud83d\ude00\n"] } `,
		"{\"a\":\n\"x\n\t\\\"y\"}": "{\"a\":\n\"x\\u000a\\u0009\\\"y\"}",
		`""`:                       `""`,
	} {
		got, err := Normalize([]byte(text))
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"b\u00e9",true,null]}`, `{"a" 1}`, "\"\n\"", `-0.5e1`, "1\x00", `"\ud800\udc00"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Normalize(data)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q became %q, which is not JSON", data, got)
		}
		// The other way round, only lone surrogates and depth are refused.
		if err != nil && json.Valid(data) && !bytes.Contains(data, []byte(`\u`)) && !strings.Contains(err.Error(), "nested") {
			t.Errorf("%q: %v", data, err)
		}
	})
}
