package plugins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestFileLoggerConfiguration(t *testing.T) {
	checkPriority(t, "file-logger", 399)
	checkConfs(t, "file-logger", []confCase{
		{`{}`, ""},
		{`{"path":"logs/file.log","match":[[["arg_name","==","jack"]],[["arg_age",">",18]]]}`, ""},
		{`{"path":1}`, `property "path" validation failed: wrong type: expected string, got number`},
		{`{"path":"a","match":[[["arg_name","=","jack"]]]}`, `failed to validate the 'match' expression: invalid operator '='`},
		{`{"path":"a","match":["x"]}`, `property "match" validation failed: failed to validate item 1: wrong type: expected array, got string`},
	})
}

// waitForLines waits until a file has n lines and answers it.
func waitForLines(t *testing.T, path string, n int) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(path)
		if strings.Count(string(text), "\n") >= n {
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s holds %q, want %d lines", path, text, n)
		}
	}
}

func TestFileLogger(t *testing.T) {
	env, _ := processEnv(t, ProcessConfig{})
	path := filepath.Join(t.TempDir(), "file.log")
	chain := plugintest.Compile(t, env, `{"file-logger":{"path":"`+path+`","log_format":{"a":"$arg_a"},"match":[[["status","==",500]],[["status","==",200]]]}}`)
	const line = `{"a":"1","route_id":"1","service_id":"2"}` + "\n"
	chain.Log(proxied(200))
	chain.Log(proxied(404)) // no match
	chain.Log(proxied(500))
	if got := waitForLines(t, path, 2); got != line+line {
		t.Errorf("%q", got)
	}
	if err := os.Rename(path, path+".1"); err != nil { // as log rotation does
		t.Fatal(err)
	}
	chain.Log(proxied(200))
	if got := waitForLines(t, path, 1); got != line {
		t.Errorf("%q", got)
	}
}

func TestFileLoggerPathOfMetadata(t *testing.T) {
	env, process := processEnv(t, ProcessConfig{})
	chain := plugintest.Compile(t, env, `{"file-logger":{}}`)
	chain.Log(proxied(200)) // nowhere to write to
	c, path := proxied(200), filepath.Join(t.TempDir(), "meta.log")
	c.Metadata = plugin.Metadata{"file-logger": &fileLoggerMetadata{Path: path}}
	chain.Log(c)
	if err := process.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := waitForLines(t, path, 1); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"route_id":"1"`) {
		t.Errorf("%q", got)
	}
}
