package plugins

import (
	"testing"

	"millrace/plugin/plugintest"
)

func TestServerlessPostFunction(t *testing.T) {
	testServerlessConfiguration(t, "serverless-post-function", -2000)
	testServerlessPhases(t, "serverless-post-function")
}

func TestServerlessOrder(t *testing.T) {
	conf := `{"serverless-post-function":` + functionsConf(t, "access", `ngx.say(ctx.first .. "after")`) + `,"serverless-pre-function":` +
		functionsConf(t, "access", `ctx.first = "before "`) + `}`
	res := plugintest.Run(plugintest.Compile(t, plugintest.Env(t), conf), request("GET /"))
	if string(res.Body) != "before after\n" {
		t.Errorf("%q %v", res.Body, res.Err)
	}
}
