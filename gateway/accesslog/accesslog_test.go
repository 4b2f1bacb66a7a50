package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/expr"
	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lookup(name string) expr.Value {
	v, ok := map[string]string{"a": "x", "empty": "", "bad": "a\"b\\c\n\x01é"}[name]
	return expr.Value{Text: v, Present: ok}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ format, escape, want string }{
		{"", "", ""},
		{"plain", "default", "plain"},
		{`$a ${a}b "$none" [$empty] 5$ $$a ${a ${no-name}`, "default", `x xb "-" [] 5$ $x ${a ${no-name}`},
		{"$bad", "default", `a\x22b\x5Cc\x0A\x01\xC3\xA9`},
		{`{"v":"$bad","n":"$none"}`, "json", `{"v":"a\"b\\c\n\u0001é","n":""}`},
		{"$bad|$none", "none", "a\"b\\c\n\x01é|"},
	} {
		got := string(compile(c.format, c.escape).append(nil, lookup))
		if got != c.want {
			t.Errorf("%q, %s: %q, want %q", c.format, c.escape, got, c.want)
		}
		if c.escape == "json" && !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %s", got)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("$a ${b} $", "default")
	f.Add("${", "json")
	f.Fuzz(func(t *testing.T, text, escape string) {
		line := compile(text, escape).append(nil, func(string) expr.Value { return expr.Value{Text: "\n", Present: true} })
		if escape == "default" && bytes.Count(line, []byte("\n")) > bytes.Count([]byte(text), []byte("\n")) {
			t.Errorf("a value broke the line: %q", line)
		}
	})
}

func TestLogIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(Config{Log: slog.New(slog.DiscardHandler), Path: path, Format: "line", Buffer: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	await := func(path, want string) {
		t.Helper()
		text := []byte(nil)
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			var err error
			if text, err = os.ReadFile(path); err == nil && string(text) == want {
				return
			}
		}
		t.Fatalf("%s has %q, want %q", path, text, want)
	}
	l.Log(&plugin.Context{})
	await(path, "line\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Log(&plugin.Context{})
	await(path+".1", "line\nline\n")
	l.Reopen()
	await(path, "")
	l.Log(&plugin.Context{})
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	await(path, "line\n") // what waited at the end
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(Config{Path: filepath.Join(path, "below")}); err == nil {
		t.Error("a file below a file was opened")
	}
}

// A variable may wait for a client's body; other requests do not wait with it.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	l, err := Open(Config{Log: slog.New(slog.DiscardHandler), Path: filepath.Join(t.TempDir(), "access.log"), Format: "$post_arg_a"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	body, client := io.Pipe()
	slow := httptest.NewRequest("POST", "/", body)
	slow.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		l.Log(plugintest.NewContext(slow))
	}()
	io.WriteString(client, "a=") // returns when the log has read it
	others := make(chan struct{})
	go func() {
		defer close(others)
		l.Log(plugintest.NewContext(httptest.NewRequest("GET", "/", nil)))
	}()
	select {
	case <-others:
	case <-time.After(30 * time.Second):
		t.Error("a request waits for another's client")
	}
	io.WriteString(client, "x")
	client.Close()
	<-logged
	<-others
	if got := string(l.pending); got != "-\nx\n" {
		t.Errorf("got %q", got)
	}
}
