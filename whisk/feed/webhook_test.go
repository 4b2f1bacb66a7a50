package feed_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/feed"
)

const (
	receive = "webhook/receive"
	secret  = "It's a Secret to Everybody"
)

// hook subscribes trigger t and answers its path.
func (s *site) hook(more string) (path string) {
	s.t.Helper()
	answer := s.call(receive, "CREATE", "/_/t", more)
	url := gjson.Get(answer, "url").String()
	path, ok := strings.CutPrefix(url, "http://localhost:3233")
	if !ok || gjson.Get(answer, "status").String() != "success" || strings.Contains(answer, "secret") {
		s.t.Fatalf("CREATE answers %s", answer)
	}
	return path
}

// request sends a request to the handler, with headers in turn.
func (s *site) request(method, path, body string, headers ...string) (status int, answer string) {
	s.t.Helper()
	server := httptest.NewServer(s.feeds.Handler(http.NotFoundHandler()))
	defer server.Close()
	r, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// shown is what the owner is shown of a hook.
func (s *site) shown(path, member string) string {
	s.t.Helper()
	status, answer := s.request("GET", path, "", "Authorization", basic(guestKey))
	if status != http.StatusOK {
		s.t.Fatalf("GET answers %d %s", status, answer)
	}
	return gjson.Get(answer, member).String()
}

func basic(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(key)) }

func sign(secret, text string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// The example is that of GitHub's documentation of its webhooks.
func TestSignatures(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	path := s.hook(fmt.Sprintf(`,"secret":%q`, secret))
	const body = "Hello, World!"
	now := strconv.FormatInt(time.Now().Unix(), 10)
	stamped := func(stamp string) []string {
		return []string{"X-Timestamp", stamp, "X-Signature", hex.EncodeToString(sign(secret, stamp+"."+body))}
	}
	for _, c := range []struct {
		name    string
		status  int
		headers []string
	}{
		{"none", 401, nil},
		{"GitHub's", 202, []string{"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
		{"another's", 401, []string{"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18"}},
		{"cut short", 401, []string{"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a"}},
		{"empty", 401, []string{"X-Hub-Signature-256", "sha256="}},
		{"SHA-1", 401, []string{"X-Hub-Signature", "sha1=fe05bcdcdc4928012781a5f1a2a77cbb5398e106"}},
		{"in hex", 202, []string{"X-Signature", hex.EncodeToString(sign(secret, body))}},
		{"in capitals", 202, []string{"X-Signature", strings.ToUpper(hex.EncodeToString(sign(secret, body)))}},
		{"in Base64", 202, []string{"X-Signature", base64.StdEncoding.EncodeToString(sign(secret, body))}},
		{"of another body", 401, []string{"X-Signature", hex.EncodeToString(sign(secret, body+"!"))}},
		{"with another secret", 401, []string{"X-Signature", hex.EncodeToString(sign("another", body))}},
		{"with a time", 202, stamped(now)},
		{"with a time in ms", 202, stamped(strconv.FormatInt(time.Now().UnixMilli(), 10))},
		{"long ago", 401, stamped(strconv.FormatInt(time.Now().Unix()-301, 10))},
		{"far ahead", 401, stamped(strconv.FormatInt(time.Now().Unix()+310, 10))},
		{"at no time", 401, stamped("now")},
		{"a time that is not signed", 401, []string{"X-Timestamp", now, "X-Signature", hex.EncodeToString(sign(secret, body))}},
		{"a signed time left out", 401, stamped(now)[2:]},
	} {
		status, answer := s.request("POST", path, body, c.headers...)
		if status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, answer, c.status)
		}
		if fired := s.firer.take(); (len(fired) == 1) != (c.status == 202) {
			t.Errorf("%s: fired %v", c.name, fired)
		}
	}

	s.mustCall(receive, "UPDATE", "/_/t", `,"requireTimestamp":true,"tolerance":1000`)
	for name, c := range map[string]struct {
		status  int
		headers []string
	}{
		"no time":         {401, []string{"X-Signature", hex.EncodeToString(sign(secret, body))}},
		"GitHub's":        {401, []string{"X-Hub-Signature-256", hex.EncodeToString(sign(secret, body))}},
		"GitHub's, later": {401, []string{"X-Timestamp", now, "X-Hub-Signature-256", hex.EncodeToString(sign(secret, body))}},
		"long ago":        {202, stamped(strconv.FormatInt(time.Now().Unix()-900, 10))},
	} {
		if status, answer := s.request("POST", path, body, c.headers...); status != c.status {
			t.Errorf("where a time is required, %s: %d %s", name, status, answer)
		}
	}
}

// post sends a signed body.
func (s *site) post(path, body string, headers ...string) (int, string) {
	s.t.Helper()
	return s.request("POST", path, body, append(headers, "X-Signature", hex.EncodeToString(sign(secret, body)))...)
}

func TestPayloads(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	path := s.hook(fmt.Sprintf(`,"secret":%q`, secret))
	for _, c := range []struct{ body, want string }{
		{`{"action":"opened","n":1.0}`, `"action":"opened","n":1.0}`},
		{" { } ", `}`},
		{"", `}`},
		{`[1,"a"]`, `"payload":[1,"a"]}`},
		{`a=1&b=2`, `"payload":"a=1&b=2"}`},
		{"\xff\x00", `"payload":"/wA=","encoding":"base64"}`},
		{`{"a":1`, `"payload":"{\"a\":1"}`},
	} {
		status, answer := s.post(path, c.body, "X-GitHub-Event", "push", "Cookie", "a=b", "Authorization", "Bearer x")
		if status != 202 || gjson.Get(answer, "activationId").String() == "" {
			t.Fatalf("%q: %d %s", c.body, status, answer)
		}
		got := s.firer.take()[0].payload
		headers := gjson.Get(got, "__ow_headers")
		if !gjson.Valid(got) || headers.Get("x-github-event").String() != "push" {
			t.Errorf("%q fires with %s", c.body, got)
		}
		for _, secretive := range []string{"cookie", "authorization", "x-signature"} {
			if headers.Get(secretive).Exists() {
				t.Errorf("%q fires with the header %s", c.body, secretive)
			}
		}
		if rest := strings.TrimPrefix(strings.TrimPrefix(got, `{"__ow_headers":`+headers.Raw), ","); rest != c.want {
			t.Errorf("%q fires with %s, want %s", c.body, rest, c.want)
		}
	}
	own := `{"__ow_headers":{"own":"1"}}`
	if s.post(path, own); s.firer.take()[0].payload != own {
		t.Error("a body with headers of its own was changed")
	}
}

func TestHookAnswers(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	path := s.hook(fmt.Sprintf(`,"secret":%q`, secret))
	if status, answer := s.post(path, strings.Repeat("x", 1<<20+1)); status != http.StatusRequestEntityTooLarge || gjson.Get(answer, "error").String() != "Request larger than allowed: 1048577 > 1048576 bytes." {
		t.Errorf("a large body: %d %s", status, answer)
	}
	large := `{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`
	if status, _ := s.post(path, large); status != http.StatusAccepted || s.firer.take()[0].payload != large {
		t.Errorf("the largest body: %d", status)
	}
	if status, _ := s.post("/api/v1/hooks/0123456789abcdef0123456789abcdef", "{}"); status != http.StatusNotFound {
		t.Errorf("an unknown address: %d", status)
	}
	if status, _ := s.request("PUT", path, "{}"); status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", status)
	}
	if status, _ := s.request("GET", "/api/v1/namespaces", ""); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	for _, status := range []int{http.StatusTooManyRequests, http.StatusBadRequest, http.StatusInternalServerError} {
		s.firer.setRefuse(func(string) error { return &whisk.Error{Status: status, Msg: "no"} })
		if got, answer := s.post(path, "{}"); got != status || gjson.Get(answer, "code").String() == "" {
			t.Errorf("a trigger that answers %d: %d %s", status, got, answer)
		}
	}
	s.firer.setRefuse(nil)
	s.mustCall(receive, "PAUSE", "/_/t", "")
	if status, _ := s.post(path, "{}"); status != http.StatusNotFound {
		t.Errorf("while it is paused: %d", status)
	}
	s.mustCall(receive, "UNPAUSE", "/_/t", "")
	if status, _ := s.post(path, "{}"); status != http.StatusAccepted {
		t.Errorf("after the pause: %d", status)
	}
	s.mustCall(receive, "DELETE", "/_/t", "")
	if status, _ := s.post(path, "{}"); status != http.StatusNotFound {
		t.Errorf("after DELETE: %d", status)
	}
}

// Only the owner is told the secret, and no lifecycle call tells it: their answers
// are kept in activation records.
func TestSecret(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	path := s.hook("")
	made := s.shown(path, "secret")
	if len(made) != 64 || s.shown(path, "trigger") != "/guest/t" || s.shown(path, "url") != "http://localhost:3233"+path {
		t.Errorf("the secret made is %q", made)
	}
	if status, _ := s.request("GET", path, ""); status != http.StatusUnauthorized {
		t.Errorf("GET without a key: %d", status)
	}
	if status, _ := s.request("GET", path, "", "Authorization", basic(otherKey)); status != http.StatusNotFound {
		t.Errorf("GET with another key: %d", status)
	}
	if read := s.call(receive, "READ", "/_/t", ""); strings.Contains(read, made) || gjson.Get(read, "config.url").String() != "http://localhost:3233"+path {
		t.Errorf("READ answers %s", read)
	}
	entries, _, err := s.store.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(string(e.Value), made) {
			t.Errorf("the store has the secret in clear at %s", e.Key)
		}
	}
	s.close()
	s.open()
	if got := s.shown(path, "secret"); got != made {
		t.Errorf("after a restart the secret is %q", got)
	}
}

func TestRotation(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	path := s.hook(fmt.Sprintf(`,"secret":%q`, secret))
	accepts := func(secret string) bool {
		status, _ := s.request("POST", path, "{}", "X-Signature", hex.EncodeToString(sign(secret, "{}")))
		return status == http.StatusAccepted
	}
	s.mustCall(receive, "UPDATE", "/_/t", `,"rotate":true,"overlap":3600`)
	second := s.shown(path, "secret")
	if !accepts(secret) || !accepts(second) {
		t.Error("while they overlap both secrets must be accepted")
	}
	if read := s.call(receive, "READ", "/_/t", ""); !gjson.Get(read, "config.previousSecretUntil").Exists() {
		t.Errorf("READ answers %s", read)
	}
	s.mustCall(receive, "UPDATE", "/_/t", `,"rotate":true`)
	third := s.shown(path, "secret")
	if accepts(secret) || accepts(second) || !accepts(third) {
		t.Error("only the newest secret must be accepted")
	}
	for params, want := range map[string]string{
		"":                             "no updatable parameters were specified",
		`,"secret":"short"`:            "the secret parameter must have 16 to 256 characters",
		`,"tolerance":0.5`:             "the tolerance parameter must be an integer of seconds from 1 to 86400",
		`,"rotate":true,"overlap":-1`:  "the overlap parameter must be an integer of seconds from 0 to 604800",
		`,"rotate":true,"overlap":"x"`: "the overlap parameter must be an integer of seconds from 0 to 604800",
	} {
		if got := s.call(receive, "UPDATE", "/_/t", params); got != "error: "+want {
			t.Errorf("UPDATE with %q: %s", params, got)
		}
	}
	if !accepts(third) {
		t.Error("a refused UPDATE changed the secret")
	}
}

// Whatever is sent, an unsigned request fires nothing, and a signed one fires JSON.
func FuzzHook(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "sha256=00", "1")
	f.Add([]byte("\xff"), "", "")
	for _, depth := range []int{511, 512, 513} {
		f.Add([]byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)), "AAAA", "-1")
	}
	s := newSite(f)
	s.trigger("t")
	path := s.hook(fmt.Sprintf(`,"secret":%q`, secret))
	h := s.feeds.Handler(http.NotFoundHandler())
	send := func(body []byte, signature, stamp string) int {
		r := httptest.NewRequestWithContext(context.Background(), "POST", path, strings.NewReader(string(body)))
		r.Header["X-Signature"], r.Header["X-Timestamp"] = []string{signature}, []string{stamp}
		w := deadlineRecorder{httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		return w.Code
	}
	f.Fuzz(func(t *testing.T, body []byte, signature, stamp string) {
		if status := send(body, signature, stamp); status == http.StatusAccepted {
			t.Fatal("a forged request was accepted")
		}
		if fired := s.firer.take(); len(fired) > 0 {
			t.Fatalf("a forged request fired %v", fired)
		}
		if status := send(body, hex.EncodeToString(sign(secret, string(body))), ""); status != http.StatusAccepted {
			t.Fatalf("a signed request is answered %d", status)
		}
		for _, fired := range s.firer.take() {
			if err := whisk.CheckJSON([]byte(fired.payload)); err != nil || !whisk.IsObject([]byte(fired.payload)) {
				t.Fatalf("fired with %q: %v", fired.payload, err)
			}
		}
	})
}

// deadlineRecorder has deadlines, as connections do.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetReadDeadline(time.Time) error { return nil }

var _ feed.Keys = (*site)(nil)
