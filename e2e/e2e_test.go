package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/freeport"
)

const (
	guestUUID = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
	guestKey  = guestUUID + ":123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	adminKey  = "edd1c9f034335f136f87ad84b625c8f1"
)

var real = flag.Bool("real", false, "build the binary and drive it with real clients")

// binary is the path of the built program, set by TestMain.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	if !*real {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "millrace-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "millrace")
	build := exec.Command("go", "build", "-o", binary, "millrace")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// site is a started server.
type site struct {
	t                    *testing.T
	cmd                  *exec.Cmd
	config, data         string
	gateway, admin, rest string
	apigw                string
	tls                  int // the port of the gateway's TLS listener
	log                  *bytes.Buffer
	exited               chan struct{} // closed when cmd has ended
	exit                 error         // of cmd, then
}

// start runs `millrace serve` on free ports and waits until it is ready.
func start(t *testing.T, more ...string) *site {
	t.Helper()
	if !*real {
		t.Skip("needs -args -real: builds the binary and starts real clients")
	}
	return startIn(t, t.TempDir(), more...)
}

func startIn(t *testing.T, dir string, more ...string) *site {
	t.Helper()
	s := &site{t: t, config: filepath.Join(dir, "config.yaml"), data: filepath.Join(dir, "data"), log: new(bytes.Buffer)}
	gateway, secured, admin, control, rest, apigw, operator, console, metrics := freeport.Take(t), freeport.Take(t), freeport.Take(t), freeport.Take(t), freeport.Take(t), freeport.Take(t), freeport.Take(t), freeport.Take(t), freeport.Take(t)
	s.tls = secured
	s.gateway, s.admin, s.rest, s.apigw = url(gateway), url(admin), url(rest), url(apigw)
	// Actions find the npm packages of the tests, as those of OpenWhisk's images find some.
	modules, err := filepath.Abs("npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`apisix:
  node_listen: [{ip: 127.0.0.1, port: %d}]
  control: {port: %d}
  ssl: {listen: [{ip: 127.0.0.1, port: %d, enable_http3: true}]}
deployment:
  admin: {admin_listen: {ip: 127.0.0.1, port: %d}}
functions: {listen: "127.0.0.1:%d", api_gateway_listen: "127.0.0.1:%d", node_modules: %q}
operator: {listen: "127.0.0.1:%d"}
console: {listen: "127.0.0.1:%d"}
plugin_attr: {prometheus: {export_addr: {port: %d}}}
`, gateway, control, secured, admin, rest, apigw, modules, operator, console, metrics)
	if err := os.WriteFile(s.config, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(more...)
	return s
}

// node runs a script of the folder npm.
func (s *site) node(args ...string) {
	s.t.Helper()
	if out, err := exec.Command("node", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("node %s: %v\n%s", args[0], err, out)
	}
}

// serve starts the binary on the site's configuration and data.
func (s *site) serve(more ...string) {
	s.t.Helper()
	args := append([]string{"serve", "--config", s.config, "--data", s.data}, more...)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		s.exit = cmd.Wait()
		close(exited)
	}()
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited // then nobody writes to the folder or the log any more
		if s.t.Failed() {
			s.t.Logf("server log:\n%s", s.log)
		}
	})
	s.run("waitready", "--config", s.config, "--timeout", "60s")
}

// stop sends a signal and waits for the end.
func (s *site) stop(sig syscall.Signal) error {
	s.t.Helper()
	s.cmd.Process.Signal(sig)
	select {
	case <-s.exited:
		return s.exit
	case <-time.After(time.Minute):
		s.t.Fatal("the server did not stop")
		return nil
	}
}

// run runs a command of the binary with a HOME of its own and answers its output.
func (s *site) run(args ...string) string {
	s.t.Helper()
	return s.shell(exec.Command(binary, args...))
}

// bash runs a script in which $MILLRACE is the binary.
func (s *site) bash(script string) string {
	s.t.Helper()
	return s.shell(exec.Command("bash", "-euo", "pipefail", "-c", script))
}

func (s *site) shell(cmd *exec.Cmd) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd = exec.CommandContext(ctx, cmd.Args[0], cmd.Args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(s.config), "MILLRACE="+binary,
		"WSK_CONFIG_FILE="+filepath.Join(filepath.Dir(s.config), ".wskprops"), "API="+s.rest, "GATEWAY="+s.gateway, "ADMIN="+s.admin,
		"AUTH="+guestKey, "KEY="+adminKey)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s\nserver log:\n%s", strings.Join(cmd.Args, " "), err, out, s.log)
	}
	return string(out)
}

// call sends a request and answers status and body.
func (s *site) call(method, url, body string, header ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-KEY", adminKey)
	uuid, secret, _ := strings.Cut(guestKey, ":")
	req.SetBasicAuth(uuid, secret)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func url(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
