package plugins_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway/stream"
	"millrace/gateway/upstream"
	"millrace/plugin"
	"millrace/plugins"
	"millrace/store"
	"millrace/store/mem"
)

// patience bounds every wait for streams.
const patience = 30 * time.Second

// streamSite passes connections on with all plugins of streams.
type streamSite struct {
	testing.TB
	s       *stream.Server
	store   store.Store
	process *plugins.Process
	addr    string
}

func startStreams(t testing.TB) *streamSite {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	site := &streamSite{TB: t, store: mem.New()}
	env := &plugin.Env{Log: log}
	site.process = plugins.NewProcess(plugins.ProcessConfig{Log: log}, env)
	env.Services = append(env.Services, site.process)
	pool := upstream.NewPool(upstream.Settings{Log: log})
	site.s = stream.New(stream.Config{Log: log, Store: site.store, Env: env, Pool: pool})
	site.process.Lend(site.s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	site.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { pool.Run(ctx) })
	done.Go(func() { _ = site.s.Run(ctx) })
	done.Go(func() {
		if err := site.s.ServeTCP(context.Background(), ln, false); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		over, end := context.WithCancel(context.Background())
		end()
		_ = site.s.Shutdown(over)
		cancel()
		done.Wait()
		_ = site.process.Close(context.Background())
		_ = site.store.Close()
	})
	return site
}

func (s *streamSite) put(key, format string, args ...any) {
	s.Helper()
	e, err := s.store.Put(context.Background(), "/apisix/"+key, fmt.Appendf(nil, format, args...), store.PutOptions{})
	if err == nil {
		err = s.s.WaitApplied(s.Context(), e.ModRevision)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// open opens a connection and sends bytes.
func (s *streamSite) open(send string) net.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, send); err != nil {
		s.Fatal(err)
	}
	return c
}

// answer is the first line that comes back, "" if the connection ends before.
func answer(c net.Conn) string {
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

// greeter is a node that answers the first bytes with its name, and waits for the end.
func greeter(t testing.TB, name string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer c.Close()
				buf := make([]byte, 1024)
				if _, err := c.Read(buf); err == nil {
					_, _ = io.WriteString(c, name+"\n")
					_, _ = io.Copy(io.Discard, c)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); done.Wait() })
	return ln.Addr().String()
}

func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// A plugin of streams comes with a page, of its own or of the plugin of requests.
func TestEveryStreamPluginIsDocumented(t *testing.T) {
	for _, name := range plugin.StreamNames() {
		page, err := os.ReadFile("../docs/plugins/" + name + ".md")
		if err != nil || !strings.Contains(string(page), "stream") {
			t.Errorf("docs/plugins/%s.md does not speak of streams: %v", name, err)
		}
	}
}

func TestStreamPriorities(t *testing.T) {
	want := []string{"ip-restriction 3000", "limit-conn 1003", "mqtt-proxy 1000", "traffic-split 966", "prometheus 500", "syslog 401"}
	var got []string
	for _, name := range plugin.StreamNames() {
		typ, _ := plugin.LookupStream(name)
		got = append(got, fmt.Sprint(name, " ", typ.Priority))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStreamConfigurations(t *testing.T) {
	for _, tt := range []struct{ name, conf, want string }{
		{"ip-restriction", `{"whitelist":["127.0.0.0/24"]}`, ""},
		{"ip-restriction", `{}`, "value should match only one schema, but matches none"},
		{"limit-conn", `{"conn":1,"burst":0,"default_conn_delay":0.1,"key":"remote_addr"}`, ""},
		{"limit-conn", `{"conn":1,"burst":0,"key":"remote_addr"}`, `property "default_conn_delay" is required`},
		{"mqtt-proxy", `{"protocol_name":"MQTT","protocol_level":4}`, ""},
		{"mqtt-proxy", `{"protocol_name":"MQTT"}`, `property "protocol_level" is required`},
		{"mqtt-proxy", `{"protocol_name":"MQTT","protocol_level":4,"upstream":{"port":1883}}`,
			`property "upstream" validation failed: value should match only one schema, but matches none`},
		{"syslog", `{"host":"127.0.0.1","port":514}`, ""},
		{"syslog", `{"host":"127.0.0.1"}`, `property "port" is required`},
		{"syslog", `{"host":"127.0.0.1","port":514,"sock_type":"unix"}`, `property "sock_type" validation failed: matches none of the enum values`},
		{"traffic-split", `{"rules":[{"weighted_upstreams":[{"weight":1}]}]}`, ""},
		{"prometheus", `{"prefer_name":true}`, ""},
		{"prometheus", `{"prefer_name":1}`, `property "prefer_name" validation failed: wrong type: expected boolean, got number`},
	} {
		typ, ok := plugin.LookupStream(tt.name)
		if !ok {
			t.Fatalf("%s is not registered", tt.name)
		}
		got := ""
		if err := typ.Check([]byte(tt.conf)); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.name, tt.conf, got, tt.want)
		}
	}
}
