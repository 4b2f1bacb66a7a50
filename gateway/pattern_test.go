package gateway

import (
	"fmt"
	"strings"
	"testing"
)

// Patterns that take for ever on some texts do not: the route is not matched by them,
// and other requests are served.
func TestCatastrophicPatterns(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	for i, c := range []struct{ pattern, match string }{
		{`^/(a+)+\\1$`, "/aa"}, {`^/(a|aa)+(?!b)$`, "/aa"}, {`^/([a-z]*)*(?=1)`, "/ab1"}, {`^/(a+)+$`, "/aa"},
	} {
		id := fmt.Sprint(i)
		r.put("routes/"+id, fmt.Sprintf(`{"uri":"/*","vars":[["uri","~~","%s"]],"upstream":{"nodes":{%q:1}}}`, c.pattern, up.addr))
		if rep := r.get(c.match); rep.body != "x" {
			t.Errorf("%s on %s: %s", c.pattern, c.match, rep.line)
		}
		if rep := r.get("/" + strings.Repeat("a", 60) + "!"); rep.status != 404 {
			t.Errorf("%s: %s", c.pattern, rep.line)
		}
		r.delete("routes/" + id)
	}
}
