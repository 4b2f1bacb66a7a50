package config

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func noEnv(string) (string, bool) { return "", false }

var compare = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func mustParse(t *testing.T, text string, env map[string]string) *Config {
	t.Helper()
	c, err := parse("config.yaml", []byte(text), func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if message, ok := strings.CutPrefix(line, "# error: "); ok {
					want = append(want, strings.TrimSpace(message))
				}
			}
			_, err = Load(file, noEnv)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), filepath.Dir(file)+string(filepath.Separator), "")
			if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), noEnv)
	if err == nil || !strings.Contains(err.Error(), "none.yaml: there is no such file") {
		t.Errorf("got %v", err)
	}
}

// What a file leaves out, and what it says in the words of the default, is the default.
func TestDefaults(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "comment": "# nothing\n", "null": "apisix:\nfunctions:\n",
		"same": "apisix: {node_listen: 9080, enable_ipv6: true}\nfunctions: {listen: 127.0.0.1:3233}\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := Default()
			want.File = "config.yaml"
			if diff := cmp.Diff(want, mustParse(t, text, nil), compare); diff != "" {
				t.Error(diff)
			}
		})
	}
	if err := Default().CheckExposure(); err != nil {
		t.Errorf("the defaults are exposed: %v", err)
	}
}

// The example is what its head says: the defaults, and all of it has an effect.
func TestExample(t *testing.T) {
	c, err := Load("example.yaml", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c, compare, cmpopts.IgnoreFields(Config{}, "File")); diff != "" {
		t.Error(diff)
	}
}

func TestAPISIXFile(t *testing.T) {
	c, err := Load("testdata/apisix.yaml", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 20 {
		t.Errorf("%d warnings are too many to read: %q", len(c.Warnings), c.Warnings)
	}
	const want = "testdata/apisix.yaml: without effect, because there is no Lua virtual machine to set up: " +
		"nginx_config.meta (line 71), nginx_config.http.lua_shared_dict (line 102)"
	if !strings.Contains(strings.Join(c.Warnings, "\n"), want) {
		t.Errorf("want %q in %q", want, c.Warnings)
	}
	if key := c.Admin.Keys[0]; len(c.Admin.Keys) != 1 || !key.Generated || len(key.Key) != 32 {
		t.Errorf("an empty admin key was not replaced: %+v", c.Admin.Keys)
	}
	if err := c.CheckExposure(); err != nil {
		t.Errorf("exposed: %v", err)
	}
	standard := Default()
	if log := c.Gateway.AccessLog; log.Path != "logs/access.log" || log.Format != "$remote_addr - $remote_user" || c.Log.Level != slog.LevelWarn {
		t.Errorf("logs: %+v, %s", log, c.Log.Level)
	}
	ignore := cmpopts.IgnoreFields(Gateway{}, "Plugins", "Source", "TLS.Given", "TLS.CipherSuites", "AccessLog.Path", "AccessLog.Format")
	if diff := cmp.Diff(standard.Gateway, c.Gateway, compare, ignore); diff != "" {
		t.Errorf("the defaults of APISIX are not ours: %s", diff)
	}
	source := standard.Gateway.Source
	source.Provider, source.Etcd.Hosts = "etcd", []string{"http://127.0.0.1:2379"}
	if diff := cmp.Diff(source, c.Gateway.Source); diff != "" {
		t.Errorf("source: %s", diff)
	}
}

// Nothing of APISIX's whole example is unknown.
func TestWholeAPISIXFile(t *testing.T) {
	c, err := Load("testdata/apisix-all.yaml", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Warnings {
		if strings.Contains(w, "unknown") {
			t.Error(w)
		}
	}
	if c.Gateway.RedirectPort != 8443 {
		t.Errorf("redirect.https_port: %d", c.Gateway.RedirectPort)
	}
}

// What APISIX may have and nobody knows is named in one warning, what its release 2
// had elsewhere in another; the start goes on.
func TestForeignKeys(t *testing.T) {
	c := mustParse(t, `
apisix:
  node_lisen: 1
  brand_new: {a: 1}
  admin_key: [{name: a, key: old, role: viewer}]
  port_admin: 9999
nginx_config: {http: {newer: on}}
deployment: {admin: {newest: 1}}
discovery: {consul: {servrs: []}}
plugin_attr: {prometheus: {metrics: {http_status: {expires: 1}}}}
etcd: {host: ["http://127.0.0.1:2379"]}
something: {}
`, nil)
	want := []string{
		`config.yaml: unknown keys, without effect: apisix.node_lisen (line 3; did you mean "node_listen"), apisix.brand_new (line 4), ` +
			`nginx_config.http.newer (line 7), deployment.admin.newest (line 8), discovery.consul.servrs (line 9; did you mean "servers"), ` +
			`plugin_attr.prometheus.metrics.http_status.expires (line 10; did you mean "expire"), something (line 12)`,
		"config.yaml: taken from where APISIX 2 had them: apisix.admin_key (line 5) is now deployment.admin.admin_key, " +
			"apisix.port_admin (line 6) is now deployment.admin.admin_listen.port, etcd (line 11) is now deployment.etcd",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Error(diff)
	}
	if c.Admin.Keys[0].Key != "old" || c.Admin.Listen.Addr.Port() != 9999 || c.Gateway.Source.Provider != "etcd" {
		t.Errorf("not taken: %+v %+v", c.Admin, c.Gateway.Source)
	}
}

func TestSource(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "data ",
		"deployment: {role: traditional, role_traditional: {config_provider: etcd}}":                                                                                   "data ",
		"deployment: {etcd: {host: [\"https://etcd:2379\"], prefix: /gw}}":                                                                                             "etcd ",
		"deployment: {role: traditional, role_traditional: {config_provider: yaml}}":                                                                                   "api ",
		"deployment: {role: traditional, role_data_plane: {config_provider: yaml}}":                                                                                    "data ",
		"deployment: {role_data_plane: {config_provider: yaml}, etcd: {host: [\"http://e:2379\"]}, role_traditional: {config_provider: etcd}}":                         "etcd ",
		"deployment: {role: control_plane, role_control_plane: {config_provider: etcd}, role_traditional: {config_provider: yaml}, etcd: {host: [\"http://e:2379\"]}}": "etcd ",
		"etcd: {host: [\"http://127.0.0.1:2379\"]}":                                                                                                                    "etcd ",
		"deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}":                                                                                     "file apisix.yaml",
		"deployment: {role: data_plane, role_data_plane: {config_provider: json}}":                                                                                     "file apisix.json",
		"apisix: {config_center: yaml}\ndeployment: {etcd: {host: [\"http://e:2379\"]}}":                                                                               "file apisix.yaml",
	} {
		c := mustParse(t, text, nil)
		if got := c.Gateway.Source.Provider + " " + c.Gateway.Source.File; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if fromFile := c.Gateway.Source.Provider == "file"; fromFile == c.Has(RoleAdmin) {
			t.Errorf("%s: an Admin API has nothing to write where a file is the source, and else it has", text)
		}
	}
}

func TestStatus(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                "off",
		"apisix: {status: {ip: 127.0.0.2}}": "127.0.0.2:7085",
		"apisix: {status: {port: 7000}}":    "127.0.0.1:7000",
		"apisix: {status: {}}":              "127.0.0.1:7085",
	} {
		got := "off"
		if st := mustParse(t, text, nil).Gateway.Status; st.Enabled {
			got = st.Listen.Address()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestGateway(t *testing.T) {
	c := mustParse(t, `
apisix:
  node_listen: [9081, {port: 9082, ip: 127.0.0.2, enable_http2: true}, "[::1]:0"]
  enable_http2: false
  enable_ipv6: false
  trusted_addresses: [10.1.2.3/8, 192.168.0.1]
  control: {port: 9099}
  ssl: {listen: [{port: 0}], ssl_protocols: TLSv1.3, enable: false}
  admin_key: [{name: a, key: old, role: viewer}]
  allow_admin: []
nginx_config:
  worker_shutdown_timeout: 5s
  http:
    client_max_body_size: 10m
    keepalive_timeout: 1m
    upstream: {keepalive: 5}
deployment: {role: control_plane, admin: {admin_listen: {port: 0}}}
`, nil)
	g := c.Gateway
	wantListen := []Listener{
		{Addr: netip.MustParseAddrPort("0.0.0.0:9081"), Network: "tcp4"},
		{Addr: netip.MustParseAddrPort("127.0.0.2:9082"), Network: "tcp4", HTTP2: true},
		{Addr: netip.MustParseAddrPort("[::1]:0"), Network: "tcp"},
	}
	got := []any{g.Listen, g.TrustedAddresses, g.Control.Listen.Address(), g.TLS.Listen[0].Address(), g.TLS.MinVersion, g.TLS.Enabled,
		c.Admin.Keys, len(c.Admin.AllowFrom), c.Admin.Listen.Address(), g.MaxBodySize, g.KeepaliveTimeout,
		g.Upstream.Keepalive, g.Upstream.KeepaliveRequests, c.DrainTimeout, c.Roles}
	want := []any{wantListen, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.0.1/32")},
		"127.0.0.1:9099", "0.0.0.0:0", g.TLS.MaxVersion, false,
		[]AdminKey{{Name: "a", Key: "old", Role: "viewer"}}, 0, "127.0.0.1:0", int64(10 << 20), time.Minute,
		5, 1000, 5 * time.Second, []Role{RoleFunctions, RoleOperator, RoleAdmin, RoleConsole}}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}
}

func TestFunctions(t *testing.T) {
	c := mustParse(t, `
data: /srv/millrace
roles: [console, functions]
functions:
  listen: [":0", localhost:3233]
  memory: 2g
  isolation: require
  stem_cells: 0
  idle_timeout: 90
  runtimes: {nodejs: /opt/node/bin/node}
  users:
    my-team: 0B3CDA1C-5C36-4C0F-A0A2-7D9C8A2A7B11:`+strings.Repeat("k", 64)+`
  limits:
    max_action_memory: 128
    max_action_timeout: 10m
    invocations_per_minute: 60
`, nil)
	f := c.Functions
	got := []any{c.Data, c.Roles, f.Listen[0].Address(), f.Listen[1].Address(), f.Memory, f.Isolation, f.StemCells, f.IdleTimeout,
		f.Runtimes, f.Users, f.Limits.DefaultActionMemory, f.Limits.MaxActionTimeout, f.Limits.InvocationsPerMinute, f.Limits.ConcurrentInvocations}
	want := []any{"/srv/millrace", []Role{RoleFunctions, RoleConsole}, "0.0.0.0:0", "127.0.0.1:3233", int64(2 << 30), "require", 0, 90 * time.Second,
		map[string]string{"nodejs": "/opt/node/bin/node"},
		[]User{{Namespace: "my.team", UUID: "0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11", Secret: strings.Repeat("k", 64)}},
		int64(128 << 20), 10 * time.Minute, 60, 1000}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}
}

func TestKeysOfOurOwn(t *testing.T) {
	hex, long := strings.Repeat("0a", 32), strings.Repeat("k", 32)
	c := mustParse(t, `
functions: {master_key: "${{MASTER}}"}
operator: {listen: "0.0.0.0:4000", key_file: /run/operator}
`, map[string]string{"MASTER": hex})
	if c.Functions.MasterKey != hex || c.Operator.KeyFile != "/run/operator" || c.Operator.Listen.Address() != "0.0.0.0:4000" || c.Operator.Listen.Network != "tcp" {
		t.Errorf("%+v, %+v", c.Functions, c.Operator)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "keys of namespaces would travel in clear") {
		t.Errorf("warnings %q", c.Warnings)
	}
	c = mustParse(t, "operator: {listen: 4000, key: "+long+"}", nil)
	if c.Operator.Key != long || c.Operator.Listen.Address() != "127.0.0.1:4000" || len(c.Warnings) != 0 {
		t.Errorf("%+v, warnings %q", c.Operator, c.Warnings)
	}
}

// The functions API is for other machines once nobody can know its keys.
func TestFunctionsListen(t *testing.T) {
	own := "users: {me: 0B3CDA1C-5C36-4C0F-A0A2-7D9C8A2A7B11:" + strings.Repeat("k", 64) + "}"
	for name, test := range map[string]struct{ text, want string }{
		"well-known keys":        {"functions: {}", "127.0.0.1:3233"},
		"own keys":               {"functions: {" + own + "}", "0.0.0.0:3233"},
		"own and well-known":     {"functions: {" + own[:len(own)-1] + ", guest: " + wellKnownGuestUUID + ":" + wellKnownGuestSecret + "}}", "127.0.0.1:3233"},
		"own keys, given":        {"functions: {listen: 3233, " + own + "}", "127.0.0.1:3233"},
		"own keys, given before": {"functions:\n  listen: 127.0.0.2:1\n  " + own, "127.0.0.2:1"},
		"no users":               {"functions: {users: {}}", "127.0.0.1:3233"},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustParse(t, test.text, nil)
			if got := c.Functions.Listen[0].Address(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			host, _, _ := net.SplitHostPort(test.want)
			if got := c.Functions.APIGatewayListen[0].Address(); got != host+":3234" {
				t.Errorf("the API gateway: got %s", got)
			}
			if err := c.CheckExposure(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	env := map[string]string{"PORT": "9999", "ON": "false", "KEY": "abc", "EMPTY": ""}
	c := mustParse(t, `
data: "/srv/${{KEY}}/${{ NONE := x }}"
apisix:
  node_listen: ${{PORT}}
  enable_admin: "${{ON}}"
  control: {port: "${{CONTROL:=9191}}"}
functions:
  memory: ${{NONE:=auto}}
  runtimes: {nodejs: "${{EMPTY}}", "${{LANGUAGE:=python}}": "$${PORT}"}
`, env)
	got := []any{c.Data, c.Gateway.Listen[0].Address(), c.Admin.Enabled, c.Gateway.Control.Listen.Address(), c.Functions.Runtimes}
	want := []any{"/srv/abc/x", "0.0.0.0:9999", false, "127.0.0.1:9191", map[string]string{"python": "$${PORT}"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckExposure(t *testing.T) {
	ownKeys := "{admin_key: [{name: a, key: own, role: admin}], admin_listen: {ip: 0.0.0.0}, allow_admin: [0.0.0.0/0]}"
	for name, test := range map[string]struct{ text, want string }{
		"functions":          {"functions: {listen: 0.0.0.0:3233}", "the functions API on 0.0.0.0:3233 would accept the well-known guest or whisk.system key"},
		"API gateway":        {"functions: {api_gateway_listen: 0.0.0.0:3234}", "the API gateway on 0.0.0.0:3234 would accept the well-known guest or whisk.system key"},
		"functions own keys": {"functions: {listen: ':3233', users: {me: 0B3CDA1C-5C36-4C0F-A0A2-7D9C8A2A7B11:" + strings.Repeat("k", 64) + "}}", ""},
		"functions role off": {"roles: [gateway]\nfunctions: {listen: 0.0.0.0:3233}", ""},
		"admin":              {"deployment: {admin: {admin_listen: {ip: 0.0.0.0}, allow_admin: [10.0.0.0/8]}}", "set deployment.admin.admin_key to a key of your own"},
		"admin all":          {"deployment: {admin: {admin_listen: {ip: '::'}, allow_admin: []}}", "the Admin API on [::]:9180"},
		"admin loopback":     {"deployment: {admin: {admin_listen: {ip: 0.0.0.0}, allow_admin: [127.0.0.0/8, '::1']}}", ""},
		"admin wide":         {"deployment: {admin: {admin_listen: {ip: 0.0.0.0}, allow_admin: [126.0.0.0/7]}}", "Admin API"},
		"admin own keys":     {"deployment: {admin: " + ownKeys + "}", ""},
		"admin off":          {"apisix: {enable_admin: false}\ndeployment: {admin: {admin_listen: {ip: 0.0.0.0}, allow_admin: []}}", ""},
		"console":            {"console: {listen: 0.0.0.0:3232}", "the console on 0.0.0.0:3232"},
		"insecure":           {"insecure_well_known_keys: true\nconsole: {listen: 0.0.0.0:3232}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := mustParse(t, test.text, nil).CheckExposure()
			if test.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("want %q, got %v", test.want, err)
			}
		})
	}
}

// A key that nothing acts on is warned about when it asks for something.
func TestWithoutEffect(t *testing.T) {
	c := mustParse(t, "apisix:\n  tracing: false\n  max_post_args_readable_size: 1\n  enable_dev_mode: true\n  ssl: {enable: false, listen: [{port: 1}]}\ngraphql: {max_size: 5}\n", nil)
	want := []string{
		"config.yaml: without effect, because one process serves all connections: apisix.enable_dev_mode (line 4)",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" || c.Gateway.MaxPostArgs != 1<<20 || c.Gateway.MaxGraphql != 5 {
		t.Error(diff)
	}
}

func TestAdminAPIVersion(t *testing.T) {
	for _, version := range []string{"v3", "v2", "default"} {
		if c := mustParse(t, "deployment: {admin: {admin_api_version: "+version+"}}", nil); c.Admin.APIVersion != version {
			t.Errorf("%s gives %s", version, c.Admin.APIVersion)
		}
	}
}

func TestNoKeyWarning(t *testing.T) {
	c := mustParse(t, "deployment: {admin: {admin_key_required: false, admin_listen: {ip: 0.0.0.0}, allow_admin: []}}", nil)
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "whoever reaches 0.0.0.0:9180") {
		t.Errorf("got %q", c.Warnings)
	}
}

// No message shows a secret.
func TestSecretsStaySecret(t *testing.T) {
	_, err := parse("c.yaml", []byte(`
functions: {users: {acme: "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:hunter2"}}
apisix: {data_encryption: {keyring: [hunter2]}}
deployment: {admin: {admin_key: [{name: hidden, key: [hunter2], role: admin}]}}
`), noEnv)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte("apisix: &a {node_listen: [*a, *a], control: *a}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse("config.yaml", text, noEnv)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err == nil {
			_ = c.CheckExposure()
		}
	})
}

func TestChanged(t *testing.T) {
	const text = "a: &all {keyring: [x]}\nlog: {level: info}\nnginx_config: {http: {keepalive_timeout: 5s}}\nplugins: [a, b]\n"
	before := mustParse(t, strings.ReplaceAll(text, "a: &all {keyring: [x]}\n", ""), nil)
	for after, want := range map[string][]string{
		"log: {level: info}\nnginx_config: {http: {keepalive_timeout: 5s}}\nplugins: [a, b]\n":                        nil,
		"# moved\nplugins:\n- a\n- b\nnginx_config:\n  http: {keepalive_timeout: 5s}\nlog: {level: info}\n":           nil,
		"log: {level: warn}\nnginx_config: {http: {keepalive_timeout: 5s, keepalive_requests: 1}}\nplugins: [a, b]\n": {"log.level", "nginx_config.http.keepalive_requests"},
		"log: &l {level: info}\n": {"nginx_config.http.keepalive_timeout", "plugins"},
		"":                        {"log.level", "nginx_config.http.keepalive_timeout", "plugins"},
	} {
		if diff := cmp.Diff(want, Changed(before, mustParse(t, after, nil))); diff != "" {
			t.Errorf("%s: %s", after, diff)
		}
	}
	if got := Changed(Default(), before); len(got) != 3 {
		t.Errorf("from the defaults: %q", got)
	}
}

// Whoever says something of the access log has one.
func TestAccessLogPath(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "nginx_config: {http: {keepalive_timeout: 1s}}": "",
		"nginx_config: {http: {enable_access_log: true}}":                                 "logs/access.log",
		"nginx_config: {http: {access_log_format: $uri}}":                                 "logs/access.log",
		"nginx_config: {http: {access_log_format: $uri, access_log: /x.log}}":             "/x.log",
		"nginx_config: {http: {access_log_format: $uri, access_log: ''}}":                 "",
		"nginx_config: {http: {access_log_format_escape: json, enable_access_log: true}}": "logs/access.log",
	} {
		if got := mustParse(t, text, nil).Gateway.AccessLog.Path; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestCheckPorts(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "apisix: {node_listen: [9080, 9081]}": "",
		"apisix: {node_listen: 0, ssl: {listen: [{port: 0}]}}":                                            "",
		"apisix: {node_listen: [9080, 9080]}":                                                             "the gateway on 0.0.0.0:9080 conflicts with the gateway on 0.0.0.0:9080: leave out one of them in apisix.node_listen",
		"apisix: {node_listen: 9090}":                                                                     "the Control API on 127.0.0.1:9090 conflicts with the gateway on 0.0.0.0:9090: set apisix.control.port or apisix.node_listen to another port",
		"apisix: {node_listen: 9090, enable_control: false}":                                              "",
		"apisix: {node_listen: [{ip: 127.0.0.2, port: 9090}]}":                                            "",
		"roles: [admin]\napisix: {node_listen: 9180}":                                                     "",
		"deployment: {admin: {admin_listen: {port: 9091}}}":                                               "the Admin API on 127.0.0.1:9091 conflicts with the metrics on 127.0.0.1:9091",
		"functions: {listen: 3232}":                                                                       "the console on 127.0.0.1:3232 conflicts with the functions API",
		"operator: {listen: 9443}":                                                                        "the operator API on 127.0.0.1:9443 conflicts with the gateway's TLS on 0.0.0.0:9443",
		"apisix: {proxy_mode: http&stream, stream_proxy: {tcp: [9100, \"127.0.0.1:9100\"], udp: [9100]}}": "a stream on 127.0.0.1:9100 conflicts with a stream",
		"apisix: {status: {port: 3235}, ssl: {enable: false}}":                                            "conflicts with the status API",
	} {
		err := mustParse(t, text, nil).CheckPorts()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestWorkers(t *testing.T) {
	for text, want := range map[string]int{"auto": 0, "2": 2} {
		if got := mustParse(t, "nginx_config: {worker_processes: "+text+"}", nil); got.Workers != want || len(got.Warnings) > 0 {
			t.Errorf("%s: %d, %q", text, got.Workers, got.Warnings)
		}
	}
	if _, err := parse("c.yaml", []byte("nginx_config: {worker_processes: 0}"), nil); err == nil {
		t.Error("no processor at all is accepted")
	}
}
