package gateway

import (
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"millrace/store"
	"millrace/store/mem"
)

// A change of a resource touches the routes that use it, itself or through others,
// in whatever order they come, and those alone.
func TestUsersOfResources(t *testing.T) {
	s := mem.New()
	defer s.Close()
	g, err := New(Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: s})
	if err != nil {
		t.Fatal(err)
	}
	f := newFollower(g)
	take := func(key, value string) (dirty string) {
		ch := changes{routes: map[string]bool{}}
		f.take(&store.Event{Entry: store.Entry{Key: "/apisix/" + key, Value: []byte(value)}, Deleted: value == ""}, &ch)
		f.rebuild(&ch)
		return strings.Join(slices.Sorted(maps.Keys(ch.routes)), " ")
	}
	const upstream = `{"nodes":{"127.0.0.1:1":1}`
	for _, step := range []struct{ key, value, want string }{
		{"routes/a", `{"uri":"/a","upstream_id":"u"}`, "a"},
		{"routes/b", `{"uri":"/b","service_id":"s"}`, "b"},
		{"routes/c", `{"uri":"/c","plugin_config_id":"p","upstream_id":"v"}`, "c"},
		{"routes/d", `{"uri":"/d","upstream":` + upstream + `,"tls":{"client_cert_id":"x"}}}`, "d"},
		{"services/s", `{"upstream_id":"u"}`, "b"},
		{"services/unused", `{"upstream_id":"v"}`, ""},
		{"upstreams/u", upstream + `}`, "a b"},
		{"upstreams/v", upstream + `,"tls":{"client_cert_id":"x"}}`, "c"},
		{"plugin_configs/p", `{"plugins":{}}`, "c"},
		{"ssls/x", "", "c d"},
		{"services/s", `{"upstream_id":"v"}`, "b"},
		{"upstreams/u", upstream + `}`, "a"},
		{"upstreams/v", upstream + `}`, "b c"},
		{"ssls/x", "", "d"},
		{"services/s", "", "b"},
		{"upstreams/v", "", "c"},
		{"routes/c", `{"uri":"/c","plugins":{}}`, "c"},
		{"plugin_configs/p", "", ""},
		{"routes/a", "", "a"},
		{"upstreams/u", "", ""},
		{"routes/b", "", "b"}, {"routes/c", "", "c"}, {"routes/d", "", "d"}, {"services/unused", "", ""},
	} {
		if got := take(step.key, step.value); got != step.want {
			t.Errorf("%s %s touches %q, want %q", step.key, step.value, got, step.want)
		}
	}
	if len(f.referrers) > 0 {
		t.Errorf("of what is gone is kept: %v", f.referrers)
	}
}
