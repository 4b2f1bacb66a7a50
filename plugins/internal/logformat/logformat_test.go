package logformat

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace/plugin/plugintest"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\x00\x7f", "é\u2028", "\xff\xc3", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendText(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func FuzzFormat(f *testing.F) {
	f.Add(`{"a":"$uri","b":{"c":"${host}","d":{}},"e":[1],"f":1.5,"a":null}`, "a=1&a&=x&%zz=%41")
	f.Fuzz(func(t *testing.T, format, query string) {
		if !json.Valid([]byte(format)) || !strings.HasPrefix(strings.TrimSpace(format), "{") {
			return
		}
		c := &Conf{Format: json.RawMessage(format)}
		if c.Check() != nil {
			return
		}
		ctx := plugintest.NewContext(httptest.NewRequest("GET", "/x", nil))
		if line := c.Append(nil, ctx, &Metadata{}, Server{}, Bodies{Request: []byte(query)}); !json.Valid(line) {
			t.Errorf("%s made %s", format, line)
		}
		if args := appendQuery(nil, query); !json.Valid(args) {
			t.Errorf("%q made %s", query, args)
		}
	})
}

func TestDepth(t *testing.T) {
	for format, ok := range map[string]bool{
		`{"1":{"2":{"3":{"4":{"5":"x"}}}}}`:       true,
		`{"1":{"2":{"3":{"4":{"5":{"6":"x"}}}}}}`: false,
	} {
		if err := (&Conf{Format: json.RawMessage(format)}).Check(); (err == nil) != ok {
			t.Errorf("%s: %v", format, err)
		}
	}
}
