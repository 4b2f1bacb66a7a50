package admin

import (
	"errors"
	"html/template"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"millrace/resource"
	"millrace/store"
)

// healthcheck answers how all nodes do, or those of one resource.
func (c *control) healthcheck(r *http.Request, rest []string) answer {
	var all []resource.Checker
	if c.Health != nil {
		all = c.Health.Checkers()
	}
	switch len(rest) {
	case 0:
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			return healthPage(all)
		}
		return listed(all)
	case 1, 2:
	default:
		return page(http.StatusNotFound)
	}
	folder := rest[0]
	if !slices.Contains([]string{"routes", "services", "upstreams", "stream_routes"}, folder) {
		return *fail(http.StatusBadRequest, badSource(folder))
	}
	if len(rest) == 1 {
		return *fail(http.StatusNotFound, missingSource(folder))
	}
	return c.healthOf(r, all, folder, rest[1])
}

func (c *control) healthOf(r *http.Request, all []resource.Checker, folder, id string) answer {
	key := resource.Key(folder, id)
	if _, err := c.Store.Get(r.Context(), key); errors.Is(err, store.ErrNotFound) {
		return *fail(http.StatusNotFound, notFound(folder, id))
	} else if err != nil {
		return c.failed(err)
	}
	i := slices.IndexFunc(all, func(ch resource.Checker) bool { return ch.Name == key })
	if i < 0 {
		return *fail(http.StatusNotFound, noChecker(folder, id))
	}
	return answer{status: http.StatusOK, body: all[i]}
}

var healthTemplate = template.Must(template.New("health").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>APISIX upstream check status</title></head>
<body>
<h1>APISIX upstream check status</h1>
<table border="1">
<tr><th>Index</th><th>Upstream</th><th>Check type</th><th>Host</th><th>Status</th><th>Success counts</th><th>TCP Failures</th><th>HTTP Failures</th><th>TIMEOUT Failures</th></tr>
{{range .}}<tr><td>{{.Index}}</td><td>{{.Checker.Name}}</td><td>{{.Checker.Type}}</td><td>{{.IP}}:{{.Port}}</td><td>{{.Status}}</td>` +
	`<td>{{.Counter.Success}}</td><td>{{.Counter.TCPFailure}}</td><td>{{.Counter.HTTPFailure}}</td><td>{{.Counter.TimeoutFailure}}</td></tr>
{{end}}</table>
</body>
</html>
`))

// healthRow is a line of the page.
type healthRow struct {
	Index   int
	Checker *resource.Checker
	resource.CheckedNode
}

func healthPage(all []resource.Checker) answer {
	var rows []healthRow
	for i := range all {
		for _, n := range all[i].Nodes {
			rows = append(rows, healthRow{len(rows) + 1, &all[i], n})
		}
	}
	var text strings.Builder
	if err := healthTemplate.Execute(&text, rows); err != nil {
		return page(http.StatusInternalServerError)
	}
	return answer{status: http.StatusOK, body: rawBody{"text/html", []byte(text.String())}}
}

// collectGarbage gives unused memory back.
func collectGarbage(*http.Request, []string) answer {
	debug.FreeOSMemory()
	return answer{status: http.StatusOK, body: ""}
}

// reloadPlugins reads anew which plugins may be used.
func (c *control) reloadPlugins(_ *http.Request, rest []string) answer {
	if rest[0] != "reload" {
		return page(http.StatusNotFound)
	}
	return reloaded(c.ReloadPlugins)
}

// reloaded calls what reads the list of plugins anew; nil if there is nothing to read.
func reloaded(reload func() error) answer {
	if reload != nil {
		if err := reload(); err != nil {
			return *fail(http.StatusInternalServerError, notReloaded(err))
		}
	}
	return answer{status: http.StatusOK, body: msgReloaded}
}

// example is what the Control API of APISIX's example plugin answers.
func (c *control) example(r *http.Request, rest []string) answer {
	switch {
	case rest[0] != "example-plugin" || rest[1] != "hello" || !c.Plugins.Has("example-plugin"):
		return page(http.StatusNotFound)
	case r.URL.Query().Has("json"):
		return answer{status: http.StatusOK, body: map[string]string{"msg": "world"}}
	}
	return answer{status: http.StatusOK, body: "world\n"}
}

// discovered answers what a type of discovery knows.
func (c *control) discovered(_ *http.Request, rest []string) answer {
	if c.Discovery == nil || rest[1] != "dump" {
		return page(http.StatusNotFound)
	}
	dump, ok := c.Discovery.Dump(rest[0])
	if !ok {
		return page(http.StatusNotFound)
	}
	return answer{status: http.StatusOK, body: dump}
}
