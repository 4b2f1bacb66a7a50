package plugins

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// confCase is a configuration and what the validator says of it, "" if nothing.
type confCase struct{ conf, want string }

// checkConfs checks configurations of a plugin.
func checkConfs(t *testing.T, name string, cases []confCase) {
	t.Helper()
	typ, ok := plugin.Lookup(name)
	if !ok {
		t.Fatalf("%s is not registered", name)
	}
	compare(t, cases, func(conf json.RawMessage) error { return typ.Check(conf) })
}

// checkConsumers checks what consumers say of a plugin.
func checkConsumers(t *testing.T, name string, cases []confCase) {
	t.Helper()
	typ, ok := plugin.Lookup(name)
	if !ok || !typ.IsAuth() {
		t.Fatalf("%s is no authentication plugin", name)
	}
	compare(t, cases, func(conf json.RawMessage) error {
		_, err := typ.LoadConsumer(conf)
		return err
	})
}

func compare(t *testing.T, cases []confCase, check func(json.RawMessage) error) {
	t.Helper()
	for _, tc := range cases {
		got := ""
		if err := check(json.RawMessage(tc.conf)); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}

// checkPriority checks what §6.5 says of a plugin.
func checkPriority(t *testing.T, name string, priority int) {
	t.Helper()
	if typ, ok := plugin.Lookup(name); !ok || typ.Priority != priority {
		t.Errorf("%s is not registered with priority %d", name, priority)
	}
}

// crowd is the consumers of a test, by plugin and key.
type crowd struct {
	t        testing.TB
	by       map[string]*plugin.Credential
	username map[string]*plugin.Credential
}

func newCrowd(t testing.TB) *crowd {
	return &crowd{t, map[string]*plugin.Credential{}, map[string]*plugin.Credential{}}
}

// add makes a consumer that a plugin finds by its configuration.
func (cr *crowd) add(name, conf string, who plugin.Consumer) *crowd {
	cr.t.Helper()
	typ, ok := plugin.Lookup(name)
	if !ok {
		cr.t.Fatalf("%s is not registered", name)
	}
	c, err := typ.LoadConsumer(json.RawMessage(conf))
	if err != nil {
		cr.t.Fatal(err)
	}
	c.Consumer = who
	cr.by[name+"\x00"+c.Key] = c
	cr.username[who.Username] = &plugin.Credential{Consumer: who}
	return cr
}

func (cr *crowd) Credential(name, key string) *plugin.Credential { return cr.by[name+"\x00"+key] }
func (cr *crowd) Named(username string) *plugin.Credential       { return cr.username[username] }

// request makes a request of "METHOD target" and header lines.
func request(line string, headers ...string) *http.Request {
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// runWith passes a request through a chain, with consumers.
func runWith(chain *plugin.Chain, consumers plugin.Consumers, r *http.Request) plugintest.Result {
	c := plugintest.NewContext(r)
	c.Consumers = consumers
	return plugintest.RunContext(chain, c)
}

// upstreamTarget passes a request through a chain and answers the target that the
// upstream would get.
func upstreamTarget(chain *plugin.Chain, consumers plugin.Consumers, r *http.Request) string {
	c := plugintest.NewContext(r)
	c.Consumers = consumers
	plugintest.RunContext(chain, c)
	if c.UpstreamTarget != "" {
		return c.UpstreamTarget
	}
	return c.Request.Target()
}
