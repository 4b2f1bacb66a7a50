package plugins

import (
	"testing"

	"github.com/tidwall/gjson"

	"millrace/plugin/plugintest"
)

func TestNodeStatus(t *testing.T) {
	checkPriority(t, "node-status", 1000)
	checkConfs(t, "node-status", []confCase{{`{}`, ""}, {`{"a":1}`, ""}, {`1`, "wrong type: expected object, got number"}})
	env, p := processEnv(t, ProcessConfig{})
	env.Services = append(env.Services, gatewayStub{})
	res := plugintest.Run(plugintest.Compile(t, env, `{"public-api":{}}`), request("GET /apisix/status"))
	if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", res.Status, res.Header)
	}
	const want = `{"active":"3","accepted":"6","handled":"6","total":"9","reading":"0","writing":"2","waiting":"1"}`
	if got := gjson.GetBytes(res.Body, "status").Raw; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if id := gjson.GetBytes(res.Body, "id").String(); len(id) != 36 || id != p.id {
		t.Errorf("id %q", id)
	}
	if NewID() == p.id {
		t.Error("two processes have one id")
	}
}
