package deploy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServerless(t *testing.T) {
	s := serve(t)
	s.env["WHO"] = "Ann"
	s.deploy("serverless")
	const rest = `"url":"https://example.org/x","list":[1,"dev"],"files":["node_modules","package.json","src"]`
	for _, test := range []struct{ action, parameters, want string }{
		{"shop_hello", `{}`, `{"text":"Hello, Ann (dev, two, 3)",` + rest + `}`},
		{"shop_python", `{}`, `{"snake":"dev"}`},
		{"shop_chain", `{"who":"Eve"}`, `{"text":"Hi, undefined (dev, two, 3)","files":["node_modules","package.json","src"],"url":"https://example.org/x","list":[1,"dev"]}`},
		{"bound/echo", `{"a":1}`, `{"a":1}`},
	} {
		if diff := cmp.Diff(decode(t, test.want), decode(t, s.invoke(test.action, test.parameters))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.action, diff)
		}
	}
	for _, test := range []struct{ method, path, body string }{
		{"GET", "/shop/page?who=Ann", `{"body":{"id":"","who":"Ann"},"statusCode":200}`},
		{"POST", "/shop/items/12", `{"id":"/shop/items/12"}`},
	} {
		status, body := s.call(test.method, test.path)
		if status != http.StatusOK || cmp.Diff(decode(t, test.body), decode(t, body)) != "" {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
	hello := s.get("actions/shop_hello?code=false")
	for key, want := range map[string]string{"team": `"shop"`, "description": `"says hello"`} {
		if got := annotation(hello, key); got != want {
			t.Errorf("annotation %s: %s", key, got)
		}
	}
	if got := string(hello["limits"]); !strings.Contains(got, `"timeout":10000`) || !strings.Contains(got, `"memory":128`) {
		t.Errorf("limits: %s", got)
	}
	want := []string{
		"rules/also", "rules/shop_arrived_to_hello", "rules/shop_hello_schedule_rule", "rules/when-left", "rules/yearly-hello",
		"triggers/arrived", "triggers/left", "triggers/shop_hello_schedule_trigger", "triggers/yearly",
	}
	var got []string
	for _, name := range s.left() {
		if strings.HasPrefix(name, "rules/") || strings.HasPrefix(name, "triggers/") {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, sorted(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	page := s.get("actions/shop_page?code=false")
	if page := annotation(page, "require-whisk-auth"); len(page) < 20 {
		t.Errorf("the page's secret is %s", page)
	}
	before := s.documents()
	s.deploy("serverless")
	if diff := cmp.Diff(before, s.documents()); diff != "" {
		t.Errorf("deployed again (-before +after):\n%s", diff)
	}
	if again := s.get("actions/shop_page?code=false"); annotation(again, "require-whisk-auth") != annotation(page, "require-whisk-auth") {
		t.Error("the page's secret has changed")
	}

	o, out := s.options("testdata/serverless")
	must(t, undeploying(t), o, out)
	if left := s.left(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if status, _ := s.call("GET", "/shop/page"); status != http.StatusNotFound {
		t.Errorf("the API is left: %d", status)
	}
}

// The project that the framework itself deploys in the tests of clients.
func TestServerlessOfTheFramework(t *testing.T) {
	s := serve(t)
	o, out := s.options("../../e2e/npm/serverless")
	must(t, deploying(t), o, out)
	for path, want := range map[string]string{"/shop/hello?name=Ann": "Hello", "/shop/goods/7": "7"} {
		if status, body := s.call("GET", path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	must(t, undeploying(t), o, out)
	if left := s.left(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A stage changes what the file's variables stand for.
func TestServerlessStage(t *testing.T) {
	s := serve(t)
	o, out := s.options("testdata/serverless")
	o.Choices = map[string]string{"stage": "prod"}
	must(t, deploying(t), o, out)
	hello := s.get("actions/shop_hello?code=false")
	if got := string(hello["limits"]); !strings.Contains(got, `"memory":256`) {
		t.Errorf("limits: %s", got)
	}
	if got := string(hello["parameters"]); !strings.Contains(got, `{"key":"who","value":"nobody"}`) || !strings.Contains(got, `{"key":"stage","value":"prod"}`) {
		t.Errorf("parameters: %s", got)
	}
}
