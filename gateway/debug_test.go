package gateway

import "testing"

func TestShowPlugins(t *testing.T) {
	up := ok(t, "hello")
	r := start(t, nil)
	node := `"upstream":{"nodes":{"` + up.addr + `":1}}`
	r.put("routes/1", `{"uri":"/plain",`+node+`}`)
	r.put("routes/2", `{"uri":"/rich","plugins":{"test-log":{},"test-auth":{},"test-change":{},"test-exit":{"_meta":{"disable":true}}},`+node+`}`)
	want := map[string]string{"/plain": "no plugin", "/none": "no plugin", "/rich": "test-auth#rewrite, test-change#rewrite"}
	show := func(on bool) {
		t.Helper()
		r.g.ShowPlugins(on)
		for path, steps := range want {
			if !on {
				steps = ""
			}
			rep := r.get(path)
			if got := rep.header.Get(pluginsHeader); got != steps {
				t.Errorf("%s: %s %s, want %q", path, rep.line, got, steps)
			}
		}
	}
	show(true)
	show(false)
}
