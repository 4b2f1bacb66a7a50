package whisk

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 256)
	for name, want := range map[string]string{
		"a": "", "_": "", "A1": "", "a b": "", "a@b.c&d-e": "", "1-": "", "a.": "", long: "", "x@": "",
		"": MsgNameIllegal, " ": MsgNameIllegal, "a ": MsgNameIllegal, " a": MsgNameIllegal, "-a": MsgNameIllegal, ".a": MsgNameIllegal,
		"hi+there": MsgNameIllegal, "$hola": MsgNameIllegal, "dora?": MsgNameIllegal, "|a|": MsgNameIllegal, "a/b": MsgNameIllegal,
		"é": MsgNameIllegal, "a\x00": MsgNameIllegal, "a\n": MsgNameIllegal,
		long + "a": "Name segement longer than allowed: 257 > 256.",
	} {
		if got := CheckName(name); message(got) != want {
			t.Errorf("%q: %q, want %q", name, message(got), want)
		}
	}
	if got := message(CheckNamespace("a/b")); got != MsgNamespaceIllegal {
		t.Errorf("namespace: %q", got)
	}
	if got := message(CheckNamespace(long + "a")); got != "Namespace longer than allowed: 257 > 256." {
		t.Errorf("long namespace: %q", got)
	}
}

// message is the text for clients, empty for nil.
func message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Msg
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestActivationIDs(t *testing.T) {
	for id, want := range map[string]string{
		"0123456789abcdef0123456789abcdef":  "",
		"zzz":                               "Activation id length is 3 but must be 32.",
		"0123456789abcdef0123456789abcdef0": "Activation id length is 33 but must be 32.",
		"0123456789ABCDEF0123456789abcdef":  "The activation id is not valid.",
		"0123456789abcdef-123456789abcdef":  "The activation id is not valid.",
	} {
		if got := message(CheckActivationID(id)); got != want {
			t.Errorf("%s: %q", id, got)
		}
	}
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1.0.0", "1.2": "1.2.0", "0.0.1": "0.0.1", "10.20.30": "10.20.30",
		"": "", "0.0.0": "", "0": "", "-1.0.0": "", "1.2.3.4": "", "a": "", "1.": "", "+1": "", "99999999999": "",
	} {
		v, err := ParseVersion(in)
		if want == "" {
			if message(err) != MsgVersionMalformed {
				t.Errorf("%q: %v, %v", in, v, err)
			}
		} else if err != nil || v.String() != want {
			t.Errorf("%q: %v, %v", in, v, err)
		}
	}
	if got := NextVersion("1.2.3"); got != "1.2.4" {
		t.Errorf("next: %s", got)
	}
}

func TestKeys(t *testing.T) {
	const uuid = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
	secret := strings.Repeat("s", 64)
	for key, ok := range map[string]bool{
		uuid + ":" + secret: true, strings.ToUpper(uuid) + ":" + secret: true,
		"": false, uuid: false, uuid + ":": false, uuid + ":" + secret + "s": false, uuid[1:] + "x:" + secret: false, "x:" + secret: false,
		strings.ReplaceAll(uuid, "-", "0") + ":" + secret: false,
	} {
		if _, _, err := ParseKey(key); (err == nil) != ok {
			t.Errorf("%q: %v", key, err)
		} else if err != nil && strings.Contains(err.Error(), "ss") {
			t.Errorf("%q: the error shows the secret: %v", key, err)
		}
	}
}

func TestLimits(t *testing.T) {
	s := DefaultSystemLimits()
	s.Concurrency.Max = 1
	for raw, want := range map[string]string{
		`{}`: "",
		`{"timeout":100,"memory":512,"logs":0,"concurrency":1,"instances":30}`: "",
		`{"timeout":null}`:    "",
		`{"timeout":6e4}`:     "",
		`{"timeout":300001}`:  "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds",
		`{"timeout":99}`:      "duration 99 milliseconds below allowed threshold of 100 milliseconds",
		`{"memory":513}`:      "memory size 513 MB exceeds allowed threshold of 512 MB",
		`{"memory":127}`:      "memory size 127 MB below allowed threshold of 128 MB",
		`{"logs":11}`:         "log size 11 MB exceeds allowed threshold of 10 MB",
		`{"logs":-1}`:         "log size -1 MB below allowed threshold of 0 MB",
		`{"concurrency":2}`:   "concurrency 2 exceeds allowed threshold of 1",
		`{"concurrency":0}`:   "concurrency 0 below allowed threshold of 1",
		`{"instances":31}`:    "Max action instance concurrency must not exceed your namespace concurrency of 30.",
		`{"instances":-1}`:    "Action container concurrency must be greater than or equal to 0.",
		`{"timeout":1.5}`:     "time limit must be whole number",
		`{"timeout":1e99}`:    "time limit must be whole number",
		`{"memory":1.5}`:      "memory limit must be whole number",
		`{"logs":1.5}`:        "log limit must be whole number",
		`{"timeout":"60000"}`: "time limit malformed",
		`[]`:                  "limits malformed",
	} {
		p, err := ParseLimits(json.RawMessage(raw))
		if err == nil {
			err = s.Check(p.Over(s.Defaults()), 30)
		}
		if message(err) != want {
			t.Errorf("%s: %q, want %q", raw, message(err), want)
		}
	}
}

func manifest(t testing.TB) *Manifest {
	m, err := NewManifest([]Runtime{
		{Kind: "nodejs:18", Family: "nodejs"}, {Kind: "nodejs:20", Family: "nodejs", Default: true},
		{Kind: "java:8", Family: "java", RequireMain: true}, {Kind: "go:1.11", Family: "go", Deprecated: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifest(t *testing.T) {
	m := manifest(t)
	for in, want := range map[string]string{
		"nodejs:18": "nodejs:18", " NodeJS:20 ": "nodejs:20", "nodejs:default": "nodejs:20", "java:default": "java:8",
		"nodejs": "", "": "", ":default": "", "cobol:default": "", "nodejs:21": "",
	} {
		r, err := m.Resolve(in)
		if want == "" {
			const valid = "is not supported by this platform. Valid values are: 'nodejs:18', 'nodejs:20', 'java:8', 'go:1.11', 'sequence', 'blackbox'."
			if err == nil || !strings.HasSuffix(err.Error(), valid) {
				t.Errorf("%q: %v, %v", in, r, err)
			}
		} else if err != nil || r.Kind != want {
			t.Errorf("%q: %v, %v", in, r, err)
		}
	}
	if got := message(m.CheckUsable("go:1.11")); !strings.HasPrefix(got, "The 'go:1.11' runtime is no longer supported.") {
		t.Errorf("deprecated: %q", got)
	}
	if m.CheckUsable("java:8") != nil {
		t.Error("java:8 is refused")
	}
	for name, bad := range map[string][]Runtime{
		"no default":   {{Kind: "a:1", Family: "a"}, {Kind: "a:2", Family: "a"}},
		"two defaults": {{Kind: "a:1", Family: "a", Default: true}, {Kind: "a:2", Family: "a", Default: true}},
		"twice":        {{Kind: "a:1", Family: "a"}, {Kind: "a:1", Family: "a"}},
		"no kind":      {{Family: "a"}},
	} {
		if _, err := NewManifest(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBinary(t *testing.T) {
	for code, want := range map[string]bool{
		"": false, "abcd": true, "abcde": false, "UEsDBAo=": true, "UEsDBA==": true, "U===": false, "====": false,
		"function main(){}": false, "ab_d": false, "ab\ncd": false, "ab+/": true, "a=bc": false,
	} {
		if IsBase64(code) != want {
			t.Errorf("%q: %v", code, !want)
		}
	}
}

func kvs(s string) KeyValues {
	l, err := ParseKeyValues(json.RawMessage(s))
	if err != nil {
		panic(err)
	}
	return l
}

func TestKeyValues(t *testing.T) {
	const given = `[{"key":"b","value": {"x": "<&>é\u003c"}},{"key":"a"},{"key":"b","value":2,"init":true},{"key":"c","value":"v","init":null}]`
	l := kvs(given)
	const want = `[{"key":"b","value":2,"init":true},{"key":"a","value":null},{"key":"c","value":"v"}]`
	if got := string(l.AppendJSON(nil)); got != want {
		t.Errorf("parsed: %s", got)
	}
	if got, err := json.Marshal(struct{ L KeyValues }{}); err != nil || string(got) != `{"L":[]}` {
		t.Errorf("empty: %s %v", got, err)
	}
	merged := l.Merge(kvs(`[{"key":"a","value":1},{"key":"d","value":4}]`))
	const wantMerged = `[{"key":"b","value":2,"init":true},{"key":"a","value":1},{"key":"c","value":"v"},{"key":"d","value":4}]`
	if got := string(merged.AppendJSON(nil)); got != wantMerged {
		t.Errorf("merged: %s", got)
	}
	if got := string(l.AppendJSON(nil)); got != want {
		t.Errorf("merging changed its operand: %s", got)
	}
	if got := string(l.Without([]string{"a", "b", "zzz"}).AppendJSON(nil)); got != `[{"key":"c","value":"v"}]` {
		t.Errorf("without: %s", got)
	}
	for _, bad := range []string{`{}`, `{"key":"a"}`, `[1]`, `[null]`, `[{"value":1}]`, `[{"key":1,"value":1}]`, `[{"key":"a","init":"x"}]`, `"x"`} {
		if _, err := ParseKeyValues(json.RawMessage(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{`{}`, true}, {` {"a":[1,2]} `, true}, {`1`, true}, {deep(512), true}, {`"` + strings.Repeat(`[\"`, 2000) + `"`, true},
		{``, false}, {`{`, false}, {`{}x`, false}, {`test=test`, false}, {deep(513), false}, {strings.Repeat("[", 5000), false},
	} {
		if err := CheckJSON([]byte(tt.in)); (err == nil) != tt.ok {
			t.Errorf("%.40s: %v", tt.in, err)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1f", "<&>", "é漢🙂", "bad \xff\xfe end", "\u2028", "\xed\xa0\x80"} {
		quoted := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Errorf("%q: %s: %v", s, quoted, err)
		}
		if want := strings.ToValidUTF8(s, "\x00"); !strings.Contains(want, "\x00") && back != s {
			t.Errorf("%q: came back as %q", s, back)
		}
	}
}

func TestActionPut(t *testing.T) {
	m, s := manifest(t), DefaultSystemLimits()
	s.Exec, s.Parameters = 20, 30
	malformed := func(detail string) string { return "The request content was malformed:\n" + detail }
	for body, want := range map[string]string{
		`{}`: "", `{"exec":null,"parameters":null,"annotations":null,"limits":null,"version":null,"publish":null}`: "",
		`{"namespace":1,"name":{},"updated":"x","nonsense":[]}`:             "",
		`{"exec":{"kind":"nodejs:default","code":"x"}}`:                     "",
		`{"exec":{"kind":"nodejs:20","code":"x","main":null,"binary":"x"}}`: "",
		`{"exec":{"kind":"java:8","code":"abcd","main":"M"}}`:               "",
		`{"Exec":{"kind":7}}`:            "", // names of members are exact
		`[]`:                             malformed("JSON object expected"),
		`{"exec":{"code":"x"}}`:          malformed("'kind' must be a string defined in 'exec'"),
		`{"exec":{"kind":1,"code":"x"}}`: malformed("'kind' must be a string defined in 'exec'"),
		`{"exec":"x"}`:                   malformed("'kind' must be a string defined in 'exec'"),
		`{"exec":{"kind":"nodejs:20"}}`:  malformed("'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions"),
		`{"exec":{"kind":"nodejs:default","code":1}}`:                            malformed("'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions"),
		`{"exec":{"kind":"java:8","code":"x"}}`:                                  malformed("'main' must be a string defined in 'exec' for 'java:8' actions"),
		`{"exec":{"kind":"nodejs:20","code":"x","main":1}}`:                      malformed("if defined, 'main' be a string in 'exec' for 'nodejs:20' actions"),
		`{"parameters":{"a":1}}`:                                                 malformed("parameters malformed!"),
		`{"annotations":{"a":1}}`:                                                malformed("parameters malformed!"),
		`{"delAnnotations":"a"}`:                                                 malformed("annotations malformed!"),
		`{"version":"0.0.0"}`:                                                    malformed("semantic version malformed"),
		`{"version":1}`:                                                          malformed("semantic version malformed"),
		`{"limits":{"timeout":1.5}}`:                                             malformed("time limit must be whole number"),
		`{"exec":{"kind":"nodejs:20","code":"123456789012345678901"}}`:           "exec larger than allowed: 21 > 20 bytes.",
		`{"parameters":[{"key":"a","value":"1234567890123456789012345678"}]}`:    "parameters larger than allowed: 31 > 30 bytes.",
		`{"annotations":[{"key":"a","value":"1234567890123456789012345678"}]}`:   "annotations larger than allowed: 31 > 30 bytes.",
		`{"parameters":[{"key":"a","value": "12345678901234567890123456" }]}   `: "",
	} {
		_, err := ParseActionPut([]byte(body), m, &s)
		if message(err) != want {
			t.Errorf("%s\n got %q\nwant %q", body, message(err), want)
		}
	}
}

func TestApply(t *testing.T) {
	m, s := manifest(t), DefaultSystemLimits()
	now := time.UnixMilli(1700000000000)
	var a *Action
	for i, tt := range []struct {
		body, version, kind, parameters, annotations string
		timeout                                      int
		publish                                      bool
	}{
		{`{"exec":{"kind":"nodejs:default","code":"x"},"annotations":[{"key":"exec","value":"lie"},{"key":"a","value":1}],"limits":{"timeout":500}}`,
			"0.0.1", "nodejs:20", `[]`,
			`[{"key":"a","value":1},{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}]`, 500, false},
		{`{"parameters":[{"key":"p","value":1}],"annotations":[{"key":"a","value":2},{"key":"b","value":3}],"publish":true}`,
			"0.0.2", "nodejs:20", `[{"key":"p","value":1}]`,
			`[{"key":"a","value":2},{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"},{"key":"b","value":3}]`, 500, true},
		{`{"delAnnotations":["a","provide-api-key"],"exec":{"kind":"java:8","code":"abcd","main":"M"},"version":"2.0"}`,
			"2.0.0", "java:8", `[{"key":"p","value":1}]`,
			`[{"key":"exec","value":"java:8"},{"key":"b","value":3}]`, 500, true},
		{`{"parameters":[],"publish":false,"limits":{"timeout":600}}`,
			"2.0.1", "java:8", `[]`, `[{"key":"exec","value":"java:8"},{"key":"b","value":3}]`, 600, false},
	} {
		p, err := ParseActionPut([]byte(tt.body), m, &s)
		if err != nil {
			t.Fatal(err)
		}
		if a, err = p.Apply(a, "guest", "pkg", "n", s.Defaults(), now); err != nil {
			t.Fatal(err)
		}
		got := []any{a.Version, a.Exec.Kind, string(a.Parameters.AppendJSON(nil)), string(a.Annotations.AppendJSON(nil)), a.Limits.TimeoutMS, a.Publish, a.Path(), a.Updated}
		want := []any{tt.version, tt.kind, tt.parameters, tt.annotations, tt.timeout, tt.publish, "guest/pkg/n", now.UnixMilli()}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("step %d: %s", i, d)
		}
	}
	if !a.Exec.Binary || a.Exec.Main != "M" || a.Exec.Size != 4 {
		t.Errorf("exec %+v", a.Exec)
	}
}

func TestImmutable(t *testing.T) {
	a := &Action{Parameters: kvs(`[{"key":"a","value":1},{"key":"n","value":null}]`)}
	pkg := kvs(`[{"key":"p","value":1},{"key":"n","value":1}]`)
	if got := a.Immutable(pkg); len(got) != 0 {
		t.Errorf("not final: %v", got)
	}
	a.Annotations = kvs(`[{"key":"final","value":true}]`)
	if d := cmp.Diff(map[string]bool{"a": true, "p": true}, a.Immutable(pkg)); d != "" {
		t.Error(d)
	}
}

func FuzzActionPut(f *testing.F) {
	m, s := manifest(f), DefaultSystemLimits()
	for _, seed := range []string{
		`{}`, `{"exec":{"kind":"nodejs:20","code":"x","main":"m"},"limits":{"timeout":1e3},"version":"1"}`,
		`{"parameters":[{"key":"a","value":{"b":[]},"init":true}],"annotations":[{"key":"x"}],"delAnnotations":["x"]}`, `[[[`, `{"exec":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParseActionPut(body, m, &s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != 400 && e.Status != 413 {
				t.Fatalf("not for clients: %v", err)
			}
			return
		}
		a, err := p.Apply(nil, "guest", "", "a", s.Defaults(), time.Now())
		if err != nil {
			return
		}
		stored, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Action
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatalf("%s: %v", stored, err)
		}
	})
}
