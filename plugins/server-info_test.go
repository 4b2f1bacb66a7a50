package plugins

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

func TestServerInfo(t *testing.T) {
	checkPriority(t, "server-info", 990)
	checkConfs(t, "server-info", []confCase{{`{}`, ""}})
	_, p := processEnv(t, ProcessConfig{Version: "1.2.3"})
	w := httptest.NewRecorder()
	p.ServerInfo().ServeHTTP(w, request("GET /v1/server_info"))
	got := gjson.ParseBytes(w.Body.Bytes())
	if got.Get("version").String() != "1.2.3" || got.Get("hostname").String() != p.host || len(got.Get("id").String()) != 36 ||
		time.Since(time.Unix(got.Get("boot_time").Int(), 0)) > time.Hour {
		t.Error(got)
	}
}
