package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const pythonAction = `
cat > "$HOME/hello.py" <<'END'
import sys

def main(args):
    print("for", args["name"])
    print("aside", file=sys.stderr)
    return {"hello": args["name"]}
END
$MILLRACE wsk property set --apihost "$API" --auth "$AUTH" >/dev/null
$MILLRACE wsk action update hello "$HOME/hello.py" >/dev/null
`

func TestPythonActionWithLogs(t *testing.T) {
	s := start(t)
	s.bash(pythonAction)
	if got := s.run("wsk", "action", "invoke", "hello", "--result", "--param", "name", "you"); strings.Join(strings.Fields(got), "") != `{"hello":"you"}` {
		t.Errorf("the result: got %s", got)
	}
	logs := s.run("wsk", "activation", "logs", "--last")
	for _, want := range []string{"Z stdout: for you\n", "Z stderr: aside\n"} {
		if !strings.Contains(logs, want) {
			t.Errorf("the logs lack %q:\n%s", want, logs)
		}
	}
	if got := s.run("wsk", "action", "get", "hello", "exec"); !strings.Contains(got, `"kind": "python:3`) {
		t.Errorf("the kind: got %s", got)
	}
}

func TestZipAction(t *testing.T) {
	s := start(t)
	got := s.bash(`
cd "$HOME"
echo 'exports.greet = p => ({hello: p.name})' > lib.js
echo 'exports.main = p => require("./lib").greet(p)' > index.js
python3 -m zipfile -c hello.zip index.js lib.js
$MILLRACE wsk property set --apihost "$API" --auth "$AUTH" >/dev/null
$MILLRACE wsk action create hello hello.zip --kind nodejs:default >/dev/null
$MILLRACE wsk action invoke hello --result --param name zip`)
	if strings.Join(strings.Fields(got), "") != `{"hello":"zip"}` {
		t.Errorf("the result: got %s", got)
	}
}

// A symbolic link named wsk is the command wsk.
func TestWskBySymbolicLink(t *testing.T) {
	s := start(t)
	if err := os.Symlink(binary, filepath.Join(filepath.Dir(s.config), "wsk")); err != nil {
		t.Fatal(err)
	}
	got := s.bash(`
PATH="$HOME:$PATH"
wsk property set --apihost "$API" --auth "$AUTH" >/dev/null
wsk action update ready <(echo 'function main() { return {ready: true} }') --kind nodejs:default
wsk namespace list`)
	if want := "ok: updated action ready\nnamespaces\nguest\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The script of `completion bash` completes in a bash without further packages.
func TestBashCompletion(t *testing.T) {
	if !*real {
		t.Skip("needs -args -real: builds the binary")
	}
	s := &site{t: t, config: filepath.Join(t.TempDir(), "config.yaml")}
	got := s.bash(`
bin=$(mktemp -d -p "$HOME")
ln -s "$MILLRACE" "$bin/millrace"; ln -s "$MILLRACE" "$bin/wsk"
PATH="$bin:$PATH"
compopt() { :; }  # it only works while a key is being pressed
source <(millrace completion bash); source <(wsk completion bash)
press() { COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9; set +eu; "__start_${1%% *}"; set -eu; echo "${COMPREPLY[*]}"; }
press "millrace wsk action "
press "millrace serve --ep"
press "wsk activ"`)
	want := "create delete get invoke list update\n--ephemeral\nactivation\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
