package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	main := func() { os.Exit(Main()) }
	testscript.Main(m, map[string]func(){"millrace": main, "wsk": main})
}

// platform is the other end of the scripts: it notes requests and gives the
// answers that a script has set.
type platform struct {
	mu       sync.Mutex
	answers  map[string]answer // by "METHOD path?query"
	requests []string
}

type answer struct {
	status     int
	kind, body string
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request := r.Method + " " + r.URL.RequestURI()
	p.mu.Lock()
	defer p.mu.Unlock()
	line := request
	body = bytes.ReplaceAll(body, []byte("http://"+r.Host), []byte("HOST"))
	if user, _, ok := r.BasicAuth(); ok {
		line += " as " + user
	}
	if len(body) > 0 {
		line += " " + r.Header.Get("Content-Type") + "\n" + string(body)
	}
	p.requests = append(p.requests, line)
	a, ok := p.answers[request]
	if !ok {
		a = answer{http.StatusNotFound, "application/json", `{"error":"The requested resource does not exist.","code":"tid1"}`}
	}
	w.Header().Set("Content-Type", a.kind)
	w.WriteHeader(a.status)
	if a.status != http.StatusNoContent {
		io.WriteString(w, a.body)
	}
}

// answer 'METHOD path?query' status [file [content-type]] sets an answer.
func (p *platform) answer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 4 {
		ts.Fatalf("usage: answer 'METHOD path?query' status [file [content-type]]")
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	a := answer{status: status, kind: "application/json", body: "{}"}
	if len(args) > 2 {
		a.body = ts.ReadFile(args[2])
	}
	if len(args) > 3 {
		a.kind = args[3]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[args[0]] = a
}

// requested file compares the requests since the last time with a file;
// requested - forgets them.
func (p *platform) requested(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: requested file")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	got := strings.Join(p.requests, "\n") + "\n"
	p.requests = nil
	if args[0] == "-" {
		return
	}
	want := ts.ReadFile(args[0])
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		ts.Fatalf("requests:\n%swant:\n%s", got, want)
	}
}

// TestScripts runs testdata/*.txtar: HOST is a platform, ADDR its ip:port, and
// `exits code command` checks an exit code.
func TestScripts(t *testing.T) {
	var platforms sync.Map // by the script's folder
	of := func(ts *testscript.TestScript) *platform {
		p, _ := platforms.Load(ts.Getenv("WORK"))
		return p.(*platform)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			p := &platform{answers: make(map[string]answer)}
			server := httptest.NewServer(p)
			env.Defer(server.Close)
			env.Defer(func() { killServers(env.WorkDir) })
			platforms.Store(env.WorkDir, p)
			env.Setenv("HOST", server.URL)
			env.Setenv("ADDR", strings.TrimPrefix(server.URL, "http://"))
			env.Setenv("PORT", server.URL[strings.LastIndex(server.URL, ":")+1:])
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("WSK_CONFIG_FILE", env.WorkDir+"/wskprops")
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command built with -race idles a second at its end
			return os.WriteFile(env.WorkDir+"/wskprops", fmt.Appendf(nil, "APIHOST=%s\nAUTH=uuid:key\n", server.URL), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"answer":    func(ts *testscript.TestScript, neg bool, args []string) { of(ts).answer(ts, neg, args) },
			"requested": func(ts *testscript.TestScript, neg bool, args []string) { of(ts).requested(ts, neg, args) },
			"exits":     exits,
		},
	})
}

// killServers ends what a script that failed has left running.
func killServers(dir string) {
	for _, pattern := range []string{"*.pid", "*/*.pid"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			if pid, _, err := runningPID(path); err == nil && pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// exits code command… runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	if got := exitCode(err); fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func exitCode(err error) int {
	if coder, ok := err.(interface{ ExitCode() int }); ok {
		return coder.ExitCode()
	}
	return 0
}
