package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestLimitReqConfiguration(t *testing.T) {
	checkPriority(t, "limit-req", 1001)
	checkConfs(t, "limit-req", []confCase{
		{`{"rate":1,"burst":0,"key":"remote_addr"}`, ``},
		{`{"rate":0.1,"burst":0.1,"key":"$remote_addr $consumer_name","key_type":"var_combination","rejected_code":429,"rejected_msg":"no","nodelay":true}`, ``},
		{`{"burst":0,"key":"remote_addr"}`, `property "rate" is required`},
		{`{"rate":1,"key":"remote_addr"}`, `property "burst" is required`},
		{`{"rate":1,"burst":0}`, `property "key" is required`},
		{`{"rate":0,"burst":0,"key":"remote_addr"}`, `property "rate" validation failed: expected 0 to be greater than 0`},
		{`{"rate":-1,"burst":0,"key":"remote_addr"}`, `property "rate" validation failed: expected -1 to be greater than 0`},
		{`{"rate":1,"burst":-1,"key":"remote_addr"}`, `property "burst" validation failed: expected -1 to be at least 0`},
		{`{"rate":1,"burst":0,"key":"a","rejected_code":600}`, `property "rejected_code" validation failed: expected 600 to be at most 599`},
		{`{"rate":1,"burst":0,"key":"a","rejected_msg":""}`, `property "rejected_msg" validation failed: string too short, expected at least 1, got 0`},
		{`{"rate":1,"burst":0,"key":"a","policy":"redis"}`, `then clause did not match`},
		{`{"rate":1,"burst":0,"key":"a","policy":"redis-cluster"}`, `else clause did not match`},
		{`{"rate":1,"burst":0,"key":"a","key_type":"constant"}`, `property "key_type" validation failed: matches none of the enum values`},
	})
	conf := map[string]json.RawMessage{"limit-req": []byte(`{"rate":1,"burst":0,"key":"a","policy":"redis","redis_host":"127.0.0.1"}`)}
	if _, err := plugin.Compile(conf, plugintest.Env(t)); err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("a policy that would not be kept: %v", err)
	}
}

func TestLimitReq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-req":{"rate":1,"burst":1,"key":"http_x","rejected_msg":"slow down"}}`)
		took := func(key string, status int, want time.Duration) {
			t.Helper()
			start := time.Now()
			res := plugintest.Run(chain, request("GET /", "X: "+key))
			if res.Status != status || time.Since(start) != want {
				t.Errorf("%d after %v, want %d after %v", res.Status, time.Since(start), status, want)
			}
			if status != 0 && string(res.Body) != `{"error_msg":"slow down"}`+"\n" {
				t.Errorf("body %q", res.Body)
			}
		}
		took("a", 0, 0)
		took("a", 0, time.Second)
		took("a", 0, time.Second) // a second has leaked while the one before waited
		took("b", 0, 0)
		chain = plugintest.Compile(t, plugintest.Env(t), `{"limit-req":{"rate":1,"burst":1,"key":"http_x","nodelay":true,"rejected_msg":"slow down"}}`)
		took("a", 0, 0)
		took("a", 0, 0)
		took("a", 503, 0)
		took("b", 0, 0)
	})
}

// Requests without a key are counted by the client's address.
func TestLimitReqWithoutKey(t *testing.T) {
	for _, key := range []string{`"key":"http_none"`, `"key":"$http_none $arg_none","key_type":"var_combination"`} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-req":{"rate":0.001,"burst":0,"nodelay":true,`+key+`}}`)
		status := func(addr string) int {
			c := plugintest.NewContext(request("GET /"))
			c.Conn.RemoteAddr = addr
			return plugintest.RunContext(chain, c).Status
		}
		if got := [3]int{status("1.1.1.1"), status("1.1.1.1"), status("2.2.2.2")}; got != [3]int{0, 503, 0} {
			t.Errorf("%s: %v", key, got)
		}
	}
}

func TestLimitReqWhenTheClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-req":{"rate":0.1,"burst":5,"key":"remote_addr"}}`)
		plugintest.Run(chain, request("GET /"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res := plugintest.Run(chain, request("GET /").WithContext(ctx)); !errors.Is(res.Err, plugin.ErrDrop) {
			t.Errorf("%v", res.Err)
		}
	})
}
