package plugin_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// Variables and templates of any request have a value, and reading them changes none.
func FuzzVars(f *testing.F) {
	f.Add("arg_a", "a=1&a&=%zz", "a=1; b", "application/x-www-form-urlencoded", "a=1&b=%2", "$arg_a${x ?? y}")
	f.Add("post_arg.a.b", "", "", "application/json", `{"a":{"b":[1,{}]}}`, `\$${`)
	f.Add("post_arg.a[*].b", "", "", "application/json", `{"a":[{"b":1}]}`, "$")
	f.Add("post_arg...a[-1:]['x']", "", "", "application/json", `{"a":[{"x":[{}]}]}`, "$")
	f.Add("post_arg.a[?(@.b > 1 && !($.c == 'x'))]", "", "", "application/json", `{"a":[{"b":2}]}`, "$")
	f.Add("post_arg.x", "", "", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--", "${post_arg.x}")
	f.Add("graphql_name", "query=query+A+%7B+a+%7D", "", "application/graphql", "query A($x: Int = 1) { a(b: \"c\") { d } ...F }", "$graphql_root_fields")
	f.Add("cookie_a", "", `a="b; c`, "", "", "$cookie_a")
	f.Fuzz(func(t *testing.T, name, query, cookie, contentType, body, template string) {
		r, err := http.NewRequest("POST", "http://h/p", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL = &url.URL{Scheme: "http", Host: "h", Path: "/p", RawQuery: query}
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Content-Type", contentType)
		c := plugintest.NewContext(r)
		first := c.Var(name)
		switch name { // these tell the time
		case "request_time", "msec", "time_iso8601", "time_local":
		default:
			if again := c.Var(name); !reflect.DeepEqual(first, again) {
				t.Errorf("%s is %v, then %v", name, first, again)
			}
		}
		plugin.CompileTemplate(template).Expand(c.Lookup())
	})
}
