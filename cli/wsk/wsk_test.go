package wsk

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// outcome is what a command leaves behind.
type outcome struct {
	stdout, stderr string
	code           int
}

// command runs one wsk command against a host as the program does.
func command(t *testing.T, host string, args ...string) outcome {
	t.Helper()
	props := filepath.Join(t.TempDir(), "props")
	if err := os.WriteFile(props, []byte("APIHOST="+host+"\nAUTH=uuid:key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := New(Env{
		In: strings.NewReader(""), Out: &out, Err: &errs, Version: "test", Platform: "test",
		Lookup: func(name string) (string, bool) { return props, name == "WSK_CONFIG_FILE" },
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	code := 0
	args, err := JoinPairs(args)
	if err == nil {
		cmd.SetArgs(args)
		err = cmd.ExecuteContext(context.Background())
	}
	if err != nil {
		code = Report(&errs, "wsk", err)
	}
	return outcome{out.String(), errs.String(), code}
}

const (
	tooFew    = "Invalid argument(s). "
	namespace = "An optional namespace is the only valid argument."
	notANS    = "An entity name, 'x', was provided instead of a namespace. Valid namespaces are of the following format: /NAMESPACE."
)

// What is wrong with a command line is said with a hint at --help and without
// asking the platform.
func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"hello.js": "main", "hello.zip": "zip", "Hello.jar": "jar", "list.json": "[]", "lacking.yaml": `swagger: "2.0"`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const (
		parse     = "Unable to parse action command arguments: "
		apiCreate = "Specify a swagger file or specify an API base path with an API path, an API verb, and an action name."
		apiDelete = "An API base path or API name is required.  An optional API relative path and operation may also be provided."
		apiList   = "Optional parameters are: API base path (or API name), API relative path and operation."
	)
	host := noHost(t)
	for _, test := range []struct {
		args, text string
		code       int
	}{
		{"action create", tooFew + "An action name and code artifact are required.", 2},
		{"action create x", parse + "An action name and code artifact are required.", 2},
		{"action create x y z", "Invalid argument(s): z. An action name and code artifact are required.", 2},
		{"action update", tooFew + "An action name is required. A code artifact is optional.", 2},
		{"action update x y z", "Invalid argument(s): z. An action name is required. A code artifact is optional.", 2},
		{"action create x none.js", parse + "File 'none.js' is not a valid file or it does not exist", 2},
		{"action create x hello.zip", parse + "creating an action from a .zip artifact requires specifying the action kind explicitly", 2},
		{"action create x Hello.jar", parse + "Java actions require --main to specify the fully-qualified name of the main class", 2},
		{"action create x list.json", parse + "'.json' is not a supported action runtime", 2},
		{"action create x hello.js --web maybe", parse + "Invalid argument 'maybe' for --web flag. Valid input consist of 'yes', 'true', 'raw', 'false', or 'no'.", 2},
		{"action create x hello.js --web-secure true", parse + "The --web-secure option is only valid when the --web option is enabled.", 2},
		{"action create x hello.js -P hello.js", parse + `Invalid parameter argument '[]string{"main"}': invalid character 'm' looking for beginning of value`, 1},
		{"action create x hello.js -A list.json", parse + `Invalid annotation argument '[]string{"[]"}': it does not hold a JSON object`, 1},
		{`action create x hello.js -p k {"a":}`, parse + `Invalid parameter argument '[]string{"{\"k\": \"{\"a\":}\"}"}': invalid character 'a' after top-level value`, 1},
		{`action create x hello.js -p k a","b":"c`, parse + `Invalid parameter argument '[]string{"{\"k\": \"a\",\"b\":\"c\"}"}': invalid character ',' after top-level value`, 1},
		{"action delete", tooFew + "An action name is required.", 2},
		{"action delete x y", "Invalid argument(s): y. An action name is required.", 2},
		{"action get", tooFew + "An action name is required.", 2},
		{"action get x name y", "Invalid argument(s): y. An action name is required.", 2},
		{"action get x y", "Invalid field filter 'y'.", 2},
		{"action list /a x", "Invalid argument(s): x. " + namespace, 2},
		{"action invoke", tooFew + "An action name is required.", 2},
		{"action invoke x y", "Invalid argument(s): y. An action name is required.", 2},
		{"action invoke x -p y", "Arguments for '-p' must be a key/value pair", 2},
		{"action invoke x -P", "An argument must be provided for '-P'", 2},
		{"action invoke x -P none", "File 'none' is not a valid file or it does not exist", 2},
		{`action invoke x -p k {"a`, `Invalid parameter argument '[]string{"{\"k\": \"{\"a\"}"}': invalid character 'a' after top-level value`, 1},
		{"activation list /a x", "Invalid argument(s): x. " + namespace, 2},
		{"activation get", tooFew + "An activation ID is required.", 2},
		{"activation get x name y", "Invalid argument(s): y. An activation ID is required.", 2},
		{"activation logs", tooFew + "An activation ID is required.", 2},
		{"activation logs x y", "Invalid argument(s): y. An activation ID is required.", 2},
		{"activation logs --last x", "Invalid argument(s): x. An activation ID is required.", 2},
		{"activation result", tooFew + "An activation ID is required.", 2},
		{"activation result x y", "Invalid argument(s): y. An activation ID is required.", 2},
		{"activation poll /a x", "Invalid argument(s): x. " + namespace, 2},
		{"namespace list x", "Invalid argument(s): x. No arguments are required.", 2},
		{"namespace get /a x", "Invalid argument(s): x. " + namespace, 2},
		{"namespace get x", notANS, 2},
		{"list /a x", "Invalid argument(s): x. " + namespace, 2},
		{"list x", notANS, 2},
		{"package create", tooFew + "A package name is required.", 2},
		{"package create x y", "Invalid argument(s): y. A package name is required.", 2},
		{"package create x --shared y", "Cannot use value 'y' for shared.", 2},
		{"package update", tooFew + "A package name is required.", 2},
		{"package update x --shared y", "Cannot use value 'y' for shared.", 2},
		{"package get", tooFew + "A package name is required.", 2},
		{"package bind", tooFew + "A package name and binding name are required.", 2},
		{"package bind x", tooFew + "A package name and binding name are required.", 2},
		{"package bind x y z", "Invalid argument(s): z. A package name and binding name are required.", 2},
		{"package list /a x", "Invalid argument(s): x. " + namespace, 2},
		{"package list x", notANS, 2},
		{"package delete", tooFew + "A package name is required.", 2},
		{"package refresh /a x", "Invalid argument(s): x. " + namespace, 2},
		{"package refresh x", notANS, 2},
		{"rule enable", tooFew + "A rule name is required.", 2},
		{"rule enable x y", "Invalid argument(s): y. A rule name is required.", 2},
		{"rule disable", tooFew + "A rule name is required.", 2},
		{"rule status", tooFew + "A rule name is required.", 2},
		{"rule create", tooFew + "A rule, trigger and action name are required.", 2},
		{"rule create r t", tooFew + "A rule, trigger and action name are required.", 2},
		{"rule create r t a x", "Invalid argument(s): x. A rule, trigger and action name are required.", 2},
		{"rule update r", tooFew + "A rule, trigger and action name are required.", 2},
		{"rule get", tooFew + "A rule name is required.", 2},
		{"rule delete", tooFew + "A rule name is required.", 2},
		{"rule list /a x", "Invalid argument(s): x. " + namespace, 2},
		{"rule list x", notANS, 2},
		{"trigger fire", tooFew + "A trigger name is required. A payload is optional.", 2},
		{"trigger fire x y z", "Invalid argument(s): z. A trigger name is required. A payload is optional.", 2},
		{"trigger create", tooFew + "A trigger name is required.", 2},
		{"trigger create x y", "Invalid argument(s): y. A trigger name is required.", 2},
		{"trigger create x -F a", "Arguments for '-F' must be a key/value pair", 2},
		{"trigger create x -T a", "Arguments for '-T' must be a key/value pair", 2},
		{"trigger create x -F a b", "The trigger has no feed that --feed-param could be for.", 2},
		{"trigger update", tooFew + "A trigger name is required.", 2},
		{"trigger get", tooFew + "A trigger name is required.", 2},
		{"trigger get x y z", "Invalid argument(s): z. A trigger name is required.", 2},
		{"trigger delete", tooFew + "A trigger name is required.", 2},
		{"trigger list /a x", "Invalid argument(s): x. " + namespace, 2},
		{"trigger list x", notANS, 2},
		{"api create", tooFew + apiCreate, 2},
		{"api create /b /p GET a x", "Invalid argument(s): x. " + apiCreate, 2},
		{"api create /b p GET a", "Unable to parse api command arguments: 'p' must begin with '/'.", 1},
		{"api create /b /p FETCH a", "Unable to parse api command arguments: 'FETCH' is not a valid API verb.  Valid values are: [DELETE GET HEAD OPTIONS PATCH POST PUT]", 1},
		{"api create /b /p/{x} GET a", "Unable to parse api command arguments: A response type of 'http' is required when using path parameters.", 1},
		{"api create B /p GET a --apiname C", "Unable to parse api command arguments: An API name can only be specified once.", 1},
		{"api create /b /p GET /bad", "Unable to parse api command arguments: '/bad' is not a valid action name: A valid qualified name must be specified.", 1},
		{"api create -c none", "Unable to parse swagger file: Error reading swagger file 'none': File 'none' is not a valid file or it does not exist", 2},
		{"api create -c hello.js", "Unable to parse swagger file: Error parsing swagger file 'hello.js': invalid character 'm' looking for beginning of value", 1},
		{"api create -c lacking.yaml", "Unable to parse swagger file: Swagger file is invalid (missing basePath, info, paths, or swagger fields)", 1},
		{"api get", tooFew + "An API base path or API name is required.", 2},
		{"api get /b x", "Invalid argument(s): x. An API base path or API name is required.", 2},
		{"api get /b --format xml", "Invalid format type: xml", 2},
		{"api delete", tooFew + apiDelete, 2},
		{"api delete /b /p GET x", "Invalid argument(s): x. " + apiDelete, 2},
		{"api delete /b p", "'p' must begin with '/'.", 1},
		{"api list /b /p GET x", "Invalid argument(s): x. " + apiList, 2},
		{"sdk install", "The SDK component argument is missing. One component (docker, ios, or bashauto) must be specified", 2},
		{"sdk install x", "The SDK component argument 'x' is invalid. Valid components are docker, ios and bashauto", 2},
		{"property set x", "Invalid argument(s): x. No arguments are required.", 2},
		{"property set", "No property was given.", 2},
		{"property get --output xml", "Supported output format are std|raw", 2},
		{"nothing", `unknown command "nothing" for "wsk"`, 1},
		{"action nothing", `unknown command "nothing" for "wsk action"`, 1},
		{"action list --nothing", "unknown flag: --nothing", 1},
		{"action list --limit x", `invalid argument "x" for "-l, --limit" flag: strconv.ParseInt: parsing "x": invalid syntax`, 1},
	} {
		t.Run(test.args, func(t *testing.T) {
			want := outcome{stderr: "error: " + test.text + "\nRun 'wsk --help' for usage.\n", code: test.code}
			got := command(t, host, strings.Fields(test.args)...)
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// Without a hint at --help: the command line is well formed, a name is not.
func TestInvalidNames(t *testing.T) {
	host := noHost(t)
	for _, name := range []string{"", "/", "/guest", "/guest/", "//x", "a/b/c", "/a/b/c/d", "a/"} {
		for _, args := range [][]string{
			{"action", "get", name}, {"action", "invoke", name}, {"action", "delete", name}, {"package", "get", name},
			{"trigger", "fire", name}, {"trigger", "create", "t", "--feed=" + name}, {"rule", "status", name}, {"rule", "create", "r", "t", name},
		} {
			if name == "" && slices.Contains(args, "--feed=") {
				continue // no feed
			}
			got := command(t, host, args...)
			want := outcome{stderr: "error: '" + name + "' is not a valid qualified name: A valid qualified name must be specified.\n", code: 2}
			if got != want {
				t.Errorf("%v: got %+v", args, got)
			}
		}
	}
}

// noHost is a platform that may not be asked.
func noHost(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was sent", r.Method, r.URL)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A refusal of the platform is said after what was being done; the exit code is
// the status less 256.
func TestRefusals(t *testing.T) {
	for status, code := range map[int]int{400: 144, 401: 145, 403: 147, 404: 148, 409: 153, 413: 157, 429: 173, 500: 244, 502: 246, 503: 247} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			w.Write([]byte(`{"error":"no","code":"t1"}`))
		}))
		for args, text := range map[string]string{
			"action get p/x":               "Unable to get action 'p/x'",
			"action invoke /ns/p/x":        "Unable to invoke action 'p/x'",
			"action invoke x -r":           "Unable to invoke action 'x'",
			"action delete x":              "Unable to delete action 'x'",
			"action list":                  "Unable to obtain the list of actions for namespace '_'",
			"action list /ns":              "Unable to obtain the list of actions for namespace 'ns'",
			"action create x y --sequence": "Unable to create action 'x'",
			"action update x":              "Unable to update action 'x'",
			"activation list":              "Unable to obtain the list of activations for namespace '_'",
			"activation get x":             "Unable to get activation 'x'",
			"activation get --last":        "Unable to get activation",
			"activation logs x":            "Unable to get logs for activation 'x'",
			"activation logs x --follow":   "Unable to get logs for activation 'x'",
			"activation result x":          "Unable to get result for activation 'x'",
			"namespace list":               "Unable to obtain the list of available namespaces",
			"namespace get":                "Unable to obtain the list of entities for namespace '_'",
			"list":                         "Unable to obtain the list of entities for namespace '_'",
			"package create x":             "Unable to create package 'x'",
			"package update x":             "Unable to update package 'x'",
			"package get x":                "Unable to get package 'x'",
			"package delete x":             "Unable to delete package 'x'",
			"package list":                 "Unable to obtain the list of packages for namespace '_'",
			"package bind p b":             "Binding creation failed",
			"package refresh":              "Package refresh for namespace '_' failed",
			"trigger fire x":               "Unable to fire trigger 'x'",
			"trigger create x":             "Unable to create trigger 'x'",
			"trigger get x":                "Unable to get trigger 'x'",
			"trigger delete x":             "Unable to get trigger 'x'",
			"trigger list":                 "Unable to obtain the list of triggers for namespace '_'",
			"trigger update x":             "Unable to update trigger 'x'",
			"rule create r t a":            "Unable to create rule 'r'",
			"rule update r t a":            "Unable to update rule 'r'",
			"rule get r":                   "Unable to get rule 'r'",
			"rule status r":                "Unable to get status of rule 'r'",
			"rule enable r":                "Unable to enable rule 'r'",
			"rule disable r":               "Unable to disable rule 'r'",
			"rule delete r":                "Unable to delete rule 'r'",
			"rule delete r --disable":      "Unable to disable rule 'r'",
			"rule list":                    "Unable to obtain the list of rules for namespace '_'",
			"api list":                     "Unable to obtain the API list",
			"api get /b":                   "Unable to get API '/b'",
			"api delete /b":                "Unable to delete API",
		} {
			got := command(t, server.URL, strings.Fields(args)...)
			if want := (outcome{stderr: "error: " + text + ": no (code t1)\n", code: code}); got != want {
				t.Errorf("%s: got %+v, want %+v", args, got, want)
			}
		}
		server.Close()
	}
}

var flagName = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)

// docs/wsk.md has a row for each command, which names all its flags.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/wsk.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string) // by command
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, name := range regexp.MustCompile("`[a-z ]+`").FindAllString(cells[1], -1) {
			rows[strings.Trim(name, "`")] = line
		}
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() || !cmd.Runnable() {
			return
		}
		name := strings.TrimPrefix(cmd.CommandPath(), "wsk ")
		row, ok := rows[name]
		if !ok {
			t.Errorf("docs/wsk.md has no row for %q", name)
			return
		}
		for _, flag := range flagName.FindAllStringSubmatch(cmd.LocalNonPersistentFlags().FlagUsages(), -1) {
			if !strings.Contains(row, "`"+flag[1]+"`") {
				t.Errorf("docs/wsk.md: the row for %q lacks %s", name, flag[1])
			}
		}
	}
	root := New(Env{Lookup: func(string) (string, bool) { return "", false }})
	walk(root)
	for _, flag := range flagName.FindAllStringSubmatch(root.PersistentFlags().FlagUsages(), -1) {
		if !strings.Contains(string(text), "`"+flag[1]+"`") {
			t.Errorf("docs/wsk.md lacks the flag %s", flag[1])
		}
	}
}
