package e2e

import (
	"strings"
	"testing"
)

// A web action from wsk's flags to curl: docs/webactions.md, first lines.
func TestWebActionByWsk(t *testing.T) {
	s := start(t)
	got := s.bash(`
cd "$HOME"
wsk() { "$MILLRACE" wsk "$@"; }
wsk property set --apihost "$API" --auth "$AUTH" >/dev/null
echo 'function main(p) { return {body: "<h1>Hello " + (p.name || p.__ow_query)} }' > hello.js
wsk action update hello hello.js --web true >/dev/null
curl -s "$(wsk action get hello --url | tail -1)?name=you"; echo
wsk package create pkg >/dev/null
wsk action update pkg/hello hello.js --web raw >/dev/null
curl -s "$(wsk action get pkg/hello --url | tail -1)?name=%20you"; echo
wsk action update hello --web-secure s3cret >/dev/null
curl -s -o /dev/null -w '%{http_code}\n' "$(wsk action get hello --url | tail -1)"
curl -s -o /dev/null -w '%{http_code}\n' -H 'X-Require-Whisk-Auth: s3cret' "$(wsk action get hello --url | tail -1)"
wsk action update hello --web false >/dev/null
curl -s -o /dev/null -w '%{http_code}\n' -H 'X-Require-Whisk-Auth: s3cret' "$API/api/v1/web/guest/default/hello"
`)
	want := "<h1>Hello you\n<h1>Hello name=%20you\n401\n200\n404\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if list := s.run("wsk", "activation", "list"); strings.Count(list, "guest/") != 3 {
		t.Errorf("the records of three calls: got\n%s", list)
	}
}

// Web actions made with the npm package openwhisk, visited with fetch.
func TestWebActionsByFetch(t *testing.T) {
	s := start(t)
	s.node("npm/web.js", s.rest, guestKey)
}
