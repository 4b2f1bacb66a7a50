package gateway

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// nginxPath makes the tests of hostile clients run against a real nginx, so that
// their tables say what it does.
var nginxPath = flag.String("nginx", "", "run the tests of hostile clients against this nginx instead")

const nginxConf = `daemon off; master_process off; worker_processes 1;
pid %[1]s/pid; error_log %[1]s/error.log info;
events { worker_connections 512; }
http {
	access_log off; underscores_in_headers on;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	upstream up { server %[3]s; keepalive 16; }
	server {
		listen %[2]s;
		location / {
			proxy_pass http://up;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Connection "";
			proxy_set_header Upgrade "";
			proxy_set_header TE "";
		}
	}
}
`

// startNginx starts the nginx before an upstream and answers how to reach it.
func startNginx(t *testing.T, upstream string) (dial func() *client) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, upstream), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(*nginxPath, "-c", conf, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	connect := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil
		}
		return conn
	}
	eventually(t, "nginx listens", func() bool { c := connect(); return c != nil && c.Close() == nil })
	return func() *client {
		conn := connect()
		if conn == nil {
			t.Fatal("nginx is not to be reached")
		}
		conn.SetDeadline(time.Now().Add(deadline))
		return &client{TB: t, Conn: conn, r: bufio.NewReader(conn)}
	}
}
