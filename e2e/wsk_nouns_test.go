package e2e

import "testing"

const wskNouns = `
cd "$HOME"
wsk() { "$MILLRACE" wsk "$@"; }
compact() { echo "= $(tr -d ' \n')"; }
wsk property set --apihost "$API" --auth "$AUTH" >/dev/null
echo 'function main(p) { console.log("for", p.name); return {hello: p.name, from: p.from} }' > hello.js
`

// Every noun of wsk against a running server; ids, keys and addresses are cut.
func TestWskNouns(t *testing.T) {
	s := start(t)
	got := s.bash(wskNouns + `
{
wsk package create p -p from p
wsk package bind p mine -p from mine
wsk action create p/hello hello.js --web true
wsk action invoke mine/hello -r -p name you | compact
wsk action create both --sequence p/hello,mine/hello
wsk action invoke both -r -p name me | compact
wsk trigger create t -p name trigger
wsk trigger fire t
wsk rule create r t p/hello
wsk rule status r
wsk trigger fire t
wsk rule disable r
wsk rule list
wsk rule delete r --disable
wsk trigger create later --feed /whisk.system/alarms/interval -p minutes 5
wsk trigger get later
wsk trigger update later -F minutes 6
wsk trigger delete later
wsk api create /b /p GET p/hello --apiname Hello
wsk api list
curl -s "$(wsk api list /b /p get | tail -1 | grep -o 'http.*')?name=gateway" | compact
wsk api delete Hello
wsk list
wsk package delete p || echo "exit code $?"
wsk package delete p --force
} 2>&1 | grep -Ev '^ |^[][{}]' | sed -E 's/[0-9a-f]{32}/ID/; s|http://127[^/]*/api/[0-9a-f-]*|GATEWAY|; s/ \(code .*\)//'`)
	want := `ok: created package p
ok: created binding mine
ok: created action p/hello
= {"from":"mine","hello":"you"}
ok: created action both
= {"from":"p"}
ok: created trigger t
ok: triggered /_/t with id 
ok: created rule r
ok: rule r is active
ok: triggered /_/t with id ID
ok: disabled rule r
rules
/guest/r                                                               private              inactive
ok: deleted rule r
ok: invoked /whisk.system/alarms/interval with id ID
ok: created trigger later
ok: invoked /whisk.system/alarms/interval with id ID
ok: invoked /whisk.system/alarms/interval with id ID
ok: updated trigger later
ok: invoked /whisk.system/alarms/interval with id ID
ok: deleted trigger later
ok: created API /b/p GET for action /_/p/hello
GATEWAY/b/p
ok: APIs
Action            Verb  API Name  URL
/guest/p/hello     get     Hello  GATEWAY/b/p
= {"hello":"gateway","from":"p"}
ok: deleted API Hello
Entities in namespace: default
packages
/guest/mine                                                            private
/guest/p                                                               private
actions
/guest/both                                                            private sequence
/guest/p/hello                                                         private nodejs:20
triggers
/guest/t                                                               private
rules
error: Unable to delete package 'p': Package not empty (contains 1 entity). Set force param or delete package contents.
exit code 153
ok: deleted package p
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// poll prints each call of a busy time once, the slow one among them that ends
// after all the others; logs --follow prints its lines.
func TestWskPollAndFollow(t *testing.T) {
	s := start(t)
	got := s.bash(wskNouns + `
echo 'async function main() { for (let i = 0; i < 3; i++) { console.log("line", i); await new Promise(r => setTimeout(r, 500)) } }' > slow.js
wsk action create hello hello.js >/dev/null
wsk action create slow slow.js >/dev/null
wsk action invoke hello --blocking >/dev/null
"$MILLRACE" wsk activation poll > poll.txt & poll=$!
while ! grep -sq Polling poll.txt; do sleep 0.05; done
id=$(wsk action invoke slow | grep -o '[0-9a-f]\{32\}')
"$MILLRACE" wsk activation logs "$id" --follow --strip > follow.txt & follow=$!
for i in $(seq 20); do wsk action invoke hello -p name n$i >/dev/null; done
wait $follow
cat follow.txt
for i in $(seq 300); do [ $(grep -c '^Activation' poll.txt) -ge 21 ] && break; sleep 0.2; done
kill $poll
wait $poll || tail -1 poll.txt
grep -o '^Activation: .[a-z]*' poll.txt | sort | uniq -c | sed 's|^ *||'
grep -c ' for n' poll.txt`)
	want := "line 0\nline 1\nline 2\nPoll terminated\n20 Activation: 'hello\n1 Activation: 'slow\n20\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
