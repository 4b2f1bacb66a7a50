package transfer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/internal/fieldcrypt"
	"millrace/server/servertest"
	"millrace/store"
	"millrace/store/mem"
)

// resources are what an APISIX has in its etcd, of every kind, in the order in which
// they were made.
var resources = [][2]string{
	{"/apisix/routes/", "init_dir"},
	{"/apisix/data_plane/server_info/x", `{}`},
	{"/apisix/gen_id", `1`},
	{"/apisix/plugins", `[{"name":"key-auth"}]`},
	{"/apisix/unheard_of/1", `{}`},
	{"/apisix/routes/z", `{"uri":"/same","plugins":{},"upstream_id":"u"}`},
	{"/apisix/routes/1", `{"id":"1","uri":"/a","service_id":"s","plugin_config_id":"p","create_time":1,"update_time":2}`},
	{"/apisix/routes/wrong", `{"id":"wrong","uri":"/w","plugins":{"echo":{"body":5}},"upstream_id":"u"}`},
	{"/apisix/routes/bad", `{"id":"bad","uri":"/b","upstream_id":"gone"}`},
	{"/apisix/routes/fn", `{"uri":"/fn","plugins":{"openwhisk":{"api_host":"http://127.0.0.1:3233","namespace":"guest","action":"a","service_token":"3ADkE6U9nhfTup0vRb7T6g=="}}}`},
	{"/apisix/services/s", `{"id":"s","upstream_id":"u","create_time":1,"update_time":2}`},
	{"/apisix/upstreams/u", `{"id":"u","type":"roundrobin","nodes":{"127.0.0.1:1":1}}`},
	{"/apisix/consumers/jack", `{"username":"jack","group_id":"g","plugins":{"key-auth":{"key":"QbETMUqJqqoIwwCFwlbaOA=="}},"create_time":1,"update_time":2}`},
	{"/apisix/consumers/jack/credentials/c", `{"id":"c","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}},"create_time":1}`},
	{"/apisix/consumer_groups/g", `{"id":"g","plugins":{}}`},
	{"/apisix/plugin_configs/p", `{"id":"p","plugins":{}}`},
	{"/apisix/plugin_metadata/http-logger", `{"id":"http-logger","log_format":{"host":"$host"}}`},
	{"/apisix/global_rules/1", `{"id":"1","plugins":{"prometheus":{}}}`},
	{"/apisix/secrets/vault/1", `{"id":"vault/1","uri":"http://127.0.0.1:1","prefix":"kv","token":"t"}`},
	{"/apisix/proto/1", `{"id":"1","content":"syntax = \"proto3\"; message A { string a = 1; }"}`},
	{"/apisix/stream_routes/1", `{"id":"1","upstream_id":"u"}`},
}

// certificateObject is an ssl object as a client sends it.
func certificateObject(t *testing.T) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.test"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	object, err := json.Marshal(map[string]any{"snis": []string{"a.test"}, "cert": text("CERTIFICATE", der), "key": text("PRIVATE KEY", key)})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestCopyOfResources(t *testing.T) {
	site := servertest.Start(t, func(c *config.Config) { c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin} })
	from := mem.New()
	defer from.Close()
	for _, r := range resources {
		if _, err := from.Put(t.Context(), r[0], []byte(r[1]), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := from.Put(t.Context(), "/apisix/ssl/1", certificateObject(t), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	ring, err := fieldcrypt.New(config.Default().Gateway.DataEncryption.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(o Resources) []string {
		t.Helper()
		var lines []string
		o.From, o.Keyring, o.Admin, o.AdminKey = from, ring, site.Admin, servertest.AdminKey
		o.Report = func(l Line) { lines = append(lines, l.Outcome.String()+" "+l.Kind+" "+l.Name) }
		if err := CopyResources(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	all := func(outcome string) []string {
		lines := []string{"kept plugins ", "skipped unheard_of 1"}
		for _, what := range []string{
			"secret vault/1", "ssl 1", "proto 1", "upstream u", "plugin_metadata http-logger", "plugin_config p", "consumer_group g", "consumer jack",
			"credential jack/credentials/c", "service s", "global_rule 1", "route z", "route 1", "route fn",
		} {
			lines = append(lines, outcome+" "+what)
		}
		return lines
	}
	same := func(what string, got, want []string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		for _, line := range want {
			if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+line+"\n") {
				t.Errorf("%s: no line %q in %q", what, line, got)
			}
		}
	}
	failed := []string{"failed route bad", "failed stream_route 1", "failed route wrong"}
	lines := func(outcome string) []string { return append(all(outcome), failed...) }
	same("a dry run", copied(Resources{DryRun: true}), lines("created"))
	same("the first run", copied(Resources{}), lines("created"))
	same("the second run", copied(Resources{}), lines("unchanged"))
	same("a dry run of the second", copied(Resources{DryRun: true}), lines("unchanged"))
	same("with Overwrite", copied(Resources{Overwrite: true}), lines("unchanged"))

	made := copied(Resources{})
	if z, one := slices.Index(made, "unchanged route z"), slices.Index(made, "unchanged route 1"); z > one {
		t.Errorf("the route that was made first comes later: %q", made)
	}
	if _, err := from.Put(t.Context(), "/apisix/routes/z", []byte(`{"uri":"/other","upstream_id":"u"}`), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		o    Resources
		want string
	}{
		{Resources{DryRun: true}, "conflict"}, {Resources{DryRun: true, Overwrite: true}, "replaced"}, {Resources{}, "kept"},
		{Resources{Overwrite: true}, "replaced"}, {Resources{DryRun: true}, "unchanged"},
	} {
		want := lines("unchanged")
		want[slices.Index(want, "unchanged route z")] = step.want + " route z"
		same("with a route that is another", copied(step.o), want)
	}
	req, _ := http.NewRequest("GET", site.Admin+"/apisix/admin/routes/fn", nil)
	req.Header.Set("X-API-KEY", servertest.AdminKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), `"service_token":"u:p"`) {
		t.Errorf("the secret field: %s", text)
	}

	err = CopyResources(t.Context(), Resources{From: from, Admin: site.Admin, AdminKey: "wrong", Report: func(Line) {}})
	if err == nil || !strings.Contains(err.Error(), "wrong apikey") {
		t.Errorf("with a wrong key: %v", err)
	}
}
