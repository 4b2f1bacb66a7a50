package api

import (
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"millrace/whisk"
)

// staticDocuments are what never changes while the process runs.
type staticDocuments struct{ root, version, page []byte }

func (a *API) staticDocuments(started time.Time) staticDocuments {
	build, buildno := a.Build, a.Buildno
	if build == "" {
		build = buildTime(started)
	}
	if buildno == "" {
		buildno = "standalone"
	}
	version := appendText(nil, `{"api_version":"1.0.0","api_version_path":"v1","build":`, build)
	version = appendText(version, `,"buildno":`, buildno)
	version = append(version, `,"description":"OpenWhisk API","swagger_paths":{"api-docs":"/api-docs","ui":"/docs"}}`...)

	root := append([]byte(nil), `{"api_paths":["/api/v1"],"description":"OpenWhisk","limits":`...)
	root = a.appendSystemLimits(root)
	root = append(root, `,"runtimes":`...)
	root = appendRuntimes(root, a.Manifest)
	root = append(root, `,"support":{"github":"https://github.com/apache/openwhisk/issues","slack":"http://slack.openwhisk.org"}}`...)
	return staticDocuments{root: root, version: version, page: docsPage()}
}

// buildTime is when the source was committed, if the binary knows.
func buildTime(fallback time.Time) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.time" })
		if i >= 0 {
			return info.Settings[i].Value
		}
	}
	return fallback.UTC().Format(time.RFC3339)
}

// appendSystemLimits appends the limits of GET /: all of them are numbers, sizes
// in bytes, durations in milliseconds.
func (a *API) appendSystemLimits(b []byte) []byte {
	l := &a.Limits
	const mb = 1 << 20
	b = appendInt(b, `{"actions_per_minute":`, int64(l.Namespace.InvocationsPerMinute))
	b = appendInt(b, `,"concurrent_actions":`, int64(l.Namespace.ConcurrentInvocations))
	for _, r := range []struct {
		name string
		whisk.Range
		unit int64
	}{{"duration", l.TimeoutMS, 1}, {"memory", l.MemoryMB, mb}, {"logs", l.LogsMB, mb}} {
		for _, prefix := range []string{"", "default_"} {
			b = appendInt(b, `,"`+prefix+"max_action_"+r.name+`":`, int64(r.Max)*r.unit)
			b = appendInt(b, `,"`+prefix+"min_action_"+r.name+`":`, int64(r.Min)*r.unit)
		}
	}
	b = appendInt(b, `,"sequence_length":`, int64(l.SequenceLength))
	b = appendInt(b, `,"triggers_per_minute":`, int64(l.Namespace.FiresPerMinute))
	return append(b, '}')
}

func appendRuntimes(b []byte, m *whisk.Manifest) []byte {
	b = append(b, '{')
	for i, family := range m.Families() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(whisk.AppendString(b, family), ':')
		b = appendList(b, m.Family(family), appendRuntime)
	}
	return append(b, '}')
}

func appendRuntime(b []byte, r whisk.Runtime) []byte {
	b = appendBool(b, `{"attached":true,"default":`, r.Default)
	b = appendBool(b, `,"deprecated":`, r.Deprecated)
	b = appendText(b, `,"image":`, r.Image)
	b = appendText(b, `,"kind":`, r.Kind)
	b = appendBool(b, `,"requireMain":`, r.RequireMain)
	return append(b, '}')
}

// serveOutside answers what is not under /api/v1 and needs no authentication.
// Instances are all in this process, which is therefore the one invoker.
func (a *API) serveOutside(x *exchange, r *http.Request) {
	if r.Method == http.MethodGet {
		switch r.URL.Path {
		case "/":
			a.write(x, answer{body: a.about.root}, nil)
			return
		case "/ping":
			plainText(x, http.StatusOK, "pong")
			return
		case "/invokers":
			a.write(x, answer{body: []byte(`{"invoker0/0":"up"}`)}, nil)
			return
		case "/invokers/healthy/count":
			a.write(x, answer{body: []byte(`1`)}, nil)
			return
		case "/invokers/ready":
			a.write(x, answer{body: []byte(`{"healthy":"1/1"}`)}, nil)
			return
		}
	}
	plainText(x, http.StatusNotFound, whisk.MsgNoSuchPath)
}

func plainText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that went away needs no answer
}
