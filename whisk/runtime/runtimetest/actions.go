package runtimetest

import (
	"encoding/json"
	"errors"
	"time"

	"millrace/whisk/runtime"
)

// actions are the programs of one family. A source that is missing skips the tests
// which need it.
type actions struct {
	sources map[string]string
	cases   []runCase
	broken  []initCase
	// again is the answer to a second Init; lastWords is what the exit actions
	// log before they end.
	again, lastWords string
}

// runCase is one call with its answer; main is empty for the default.
type runCase struct {
	name, code, main, args string
	fails                  bool
	want                   string
}

// initCase is code that does not come to life: the beginning of the error, and
// something that the logs hold.
type initCase struct{ name, code, main, want, logs string }

var families = map[string]actions{"nodejs": nodeActions, "python": pythonActions, "go": goActions}

var nodeActions = actions{
	again:     `{"error":"Cannot initialize the action more than once."}`,
	lastWords: "goodbye",
	sources: map[string]string{
		"echo":         `function main(a) { return a }`,
		"count":        `let n = 0; function main() { return {n: ++n} }`,
		"exit":         `function main() { console.log('goodbye'); process.exit(3) }`,
		"exit late":    `function main() { console.log('goodbye'); return new Promise(() => setTimeout(() => { throw new Error('late') }, 10)) }`,
		"exit at init": `console.log('goodbye'); process.exit(0)`,
		"sleep":        `function main() { return new Promise(done => setTimeout(done, 60000)) }`,
		"spin":         `function main() { for (;;); }`,
		"log and sleep": `console.log('loaded'); function main() { console.log('one'); console.error('two'); process.stdout.write('unfinished')
			return new Promise(done => setTimeout(done, 60000)) }`,
		"spin at init": `for (;;);`,
		"repeat":       `function main(a) { return {s: 'x'.repeat(a.n)} }`,
		"environment":  `function main() { return process.env }`,
		"log": `function main(a) {
			for (let i = 0; i < a.n; i++) { console.log('out ' + i); console.error('err ' + i) }
			if (a.n) { console.log(); process.stdout.write('unfinished') }
		}`,
		"meet": `let all = []; function main(a) { return new Promise(done => {
			all.push(() => done({n: a.n})); if (all.length === 8) all.forEach(f => f()) }) }`,
	},
	cases: []runCase{
		{name: "const", code: `const main = p => ({sum: p.a + 1})`, args: `{"a":1}`, want: `{"sum":2}`},
		{name: "named main", code: `function hello() { return {a: 1} }`, main: "hello", args: `{}`, want: `{"a":1}`},
		{name: "exports", code: `exports.main = () => ({a: 1})`, args: `{}`, want: `{"a":1}`},
		{name: "module.exports", code: `module.exports = {main: () => ({a: 1})}`, args: `{}`, want: `{"a":1}`},
		{name: "comment at the end", code: `function main() { return {a: 1} } // end`, args: `{}`, want: `{"a":1}`},
		{name: "require", code: `const p = require('path'); function main() { return {a: p.join('x', 'y')} }`, args: `{}`, want: `{"a":"x/y"}`},
		{name: "import()", code: `async function main() { return {a: typeof (await import('fs')).readFileSync} }`, args: `{}`, want: `{"a":"function"}`},
		{name: "undefined", code: `function main() {}`, args: `{}`, want: `{}`},
		{name: "null", code: `function main() { return null }`, args: `{}`, want: `null`},
		{name: "text", code: `function main() { return 'text' }`, args: `{}`, fails: true, want: `{"error":"The action did not return a dictionary."}`},
		{name: "promise of a number", code: `async function main() { return 7 }`, args: `{}`, fails: true, want: `{"error":"The action did not return a dictionary."}`},
		{name: "promise", code: `async function main(a) { return a }`, args: `{"a":1}`, want: `{"a":1}`},
		{name: "promise of nothing", code: `async function main() {}`, args: `{}`, want: `{}`},
		{name: "thenable", code: `function main() { return {then(f) { f({a: 1}) }} }`, args: `{}`, want: `{"a":1}`},
		{name: "error object", code: `function main() { return {error: {code: 7}} }`, args: `{}`, want: `{"error":{"code":7}}`},
		{name: "throw", code: `function main() { throw new Error('boom') }`, args: `{}`, fails: true, want: `{"error":"An error has occurred: Error: boom"}`},
		{name: "throw text", code: `function main() { throw 'boom' }`, args: `{}`, fails: true, want: `{"error":"An error has occurred: boom"}`},
		{name: "circular", code: `function main() { const a = {}; a.a = a; try { JSON.stringify(a) } catch (e) { a.m = String(e) }; return {a: 1, toJSON() { throw new Error('no') }} }`,
			args: `{}`, fails: true, want: `{"error":"An error has occurred: Error: no"}`},
		{name: "reject text", code: `function main() { return Promise.reject('bad') }`, args: `{}`, want: `{"error":"bad"}`},
		{name: "reject object", code: `function main() { return Promise.reject({code: 400, f() {}}) }`, args: `{}`, want: `{"error":{"code":400}}`},
		{name: "reject nothing", code: `function main() { return Promise.reject() }`, args: `{}`, want: `{"error":{}}`},
		{name: "reject Error", code: `async function main() { const e = new TypeError('bad'); e.stack = 's'; e.extra = [1]; e.self = e; throw e }`, args: `{}`,
			want: `{"error":{"name":"TypeError","message":"bad","stack":"s","extra":[1],"self":"[Circular]"}}`},
		{name: "lone surrogate", code: `function main() { return {a: '\ud800'.length} }`, args: `{}`, want: `{"a":1}`},
	},
	broken: []initCase{
		{"syntax", `function main( {`, "", "Initialization has failed due to: SyntaxError: Unexpected token", "index.js:2"},
		{"throws", `throw new Error('boom')`, "", "Initialization has failed due to: Error: boom", "Error during initialization: Error: boom"},
		{"no main", `function other() {}`, "", "Initialization has failed due to: Action entrypoint 'main' is not a function.", ""},
		{"no named main", `function main() {}`, "other", "Initialization has failed due to: Action entrypoint 'other' is not a function.", ""},
		{"main is no function", `const main = 7`, "", "Initialization has failed due to: Action entrypoint 'main' is not a function.", ""},
		{"no code", ``, "", "Missing main/no code to execute.", ""},
	},
}

var pythonActions = actions{
	again:     `{"error":"Cannot initialize the action more than once."}`,
	lastWords: "goodbye",
	sources: map[string]string{
		"echo":         "def main(a):\n    return a\n",
		"count":        "n = 0\ndef main(a):\n    global n\n    n += 1\n    return {'n': n}\n",
		"exit":         "import sys\ndef main(a):\n    print('goodbye')\n    sys.exit(3)\n",
		"exit at init": "import os\nprint('goodbye')\nos._exit(0)\n",
		"sleep":        "import time\ndef main(a):\n    time.sleep(60)\n",
		"spin":         "def main(a):\n    while True: pass\n",
		"log and sleep": `import sys, time
print('loaded')
def main(a):
    print('one')
    print('two', file=sys.stderr)
    print('unfinished', end='')
    time.sleep(60)
`,
		"spin at init": "while True: pass\n",
		"repeat":       "def main(a):\n    return {'s': 'x' * a['n']}\n",
		"environment":  "import os\ndef main(a):\n    return dict(os.environ)\n",
		"log": `import sys
def main(a):
    for i in range(a['n']):
        print('out %d' % i)
        print('err %d' % i, file=sys.stderr)
    if a['n']:
        print()
        print('unfinished', end='')
    return {}
`,
	},
	cases: []runCase{
		{name: "dict", code: "def main(a):\n    return {'sum': a['a'] + 1}\n", args: `{"a":1}`, want: `{"sum":2}`},
		{name: "named main", code: "def hello(a):\n    return {'a': 'ü'}\n", main: "hello", args: `{}`, want: `{"a":"ü"}`},
		{name: "list", code: "def main(a):\n    return [1, a]\n", args: `{}`, want: `[1,{}]`},
		{name: "error", code: "def main(a):\n    return {'error': {'code': 7}}\n", args: `{}`, want: `{"error":{"code":7}}`},
		{name: "exception", code: "def main(a):\n    raise ValueError('boom')\n", args: `{}`, want: `{"error":"boom"}`},
		{name: "none", code: "def main(a):\n    pass\n", args: `{}`, fails: true, want: `{"error":"The action did not return a dictionary or array."}`},
		{name: "text", code: "def main(a):\n    return 'text'\n", args: `{}`, fails: true, want: `{"error":"The action did not return a dictionary or array."}`},
		{name: "lone surrogate", code: "def main(a):\n    return {'a': len('\\ud800'), 'b': ['\\ud800'][0:0]}\n", args: `{}`, want: `{"a":1,"b":[]}`},
		{name: "not a number", code: "def main(a):\n    return {'a': float('nan')}\n", args: `{}`, fails: true,
			want: `{"error":"An error has occurred: Out of range float values are not JSON compliant"}`},
		{name: "module name", code: "def main(a):\n    import main__\n    return {'a': main__.main is main, 'n': __name__}\n", args: `{}`, want: `{"a":true,"n":"main__"}`},
	},
	broken: []initCase{
		{"syntax", "def main(:\n", "", "The action failed to generate or locate a binary. See logs for details.", "SyntaxError"},
		{"raises", "raise ValueError('boom')\n", "", "Cannot start action. Check logs for details.", "ValueError: boom"},
		{"no main", "def other(a):\n    pass\n", "", "Cannot start action. Check logs for details.", "main"},
		{"no code", "", "", "Missing main/no code to execute.", ""},
	},
}

var goActions = actions{
	sources: map[string]string{"echo": "echo", "exit": "exit", "sleep": "sleep"},
	cases: []runCase{
		{name: "echo", code: "echo", args: `{"a":1}`, want: `{"a":1}`},
		{name: "error", code: "fail", args: `{}`, fails: true, want: `{"error":"An error has occurred: boom"}`},
	},
	broken: []initCase{{"no function", "missing", "", "Initialization has failed due to: ", ""}},
}

// Functions are those that InProcess needs to pass Run.
func Functions() map[string]func(json.RawMessage) (json.RawMessage, error) {
	return map[string]func(json.RawMessage) (json.RawMessage, error){
		"echo":  func(args json.RawMessage) (json.RawMessage, error) { return args, nil },
		"fail":  func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("boom") },
		"exit":  func(json.RawMessage) (json.RawMessage, error) { return nil, runtime.ErrExited },
		"sleep": func(args json.RawMessage) (json.RawMessage, error) { time.Sleep(time.Second); return args, nil },
	}
}
