package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a manager whose documents are in memory: the last slash of a path
// stands before the member.
type memory struct {
	mu        sync.Mutex
	documents map[string]string
	err       error         // instead of any answer
	hang      chan struct{} // answers wait until it is closed, or for their context
	fetched   map[string]int
}

// memories are the managers by the configuration of their objects, for open.
var memories sync.Map

func init() {
	register("memory", func(conf []byte, _ *client) (manager, error) {
		if m, ok := memories.Load(string(conf)); ok {
			return m.(*memory), nil
		}
		return nil, errors.New("no such memory")
	})
}

func (m *memory) parts(path string) ([]part, error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return nil, errors.New("no member")
	}
	return []part{{path[:i], path[i+1:]}}, nil
}

func (m *memory) fetch(ctx context.Context, document string) (string, error) {
	m.mu.Lock()
	m.fetched[document]++
	text, ok := m.documents[document]
	err, hang := m.err, m.hang
	m.mu.Unlock()
	if hang != nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		select {
		case <-hang:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", &absentError{"no such document"}
	}
	return text, nil
}

func (m *memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *memory) count(document string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fetched[document]
}

type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// rig is a running Resolver.
type rig struct {
	testing.TB
	*Resolver
	logs *logText
}

func start(t *testing.T, s Settings) *rig {
	r := &rig{TB: t, logs: &logText{}}
	s.Log = slog.New(slog.NewTextHandler(r.logs, nil))
	r.Resolver = New(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// meet refers to references, waits for them, and looks at them.
func (r *rig) meet(key string, refs ...string) {
	r.Helper()
	r.refer(key, refs)
	r.await(context.Background())
	for _, ref := range refs {
		r.resolve(key, ref)
	}
}

// expect compares what a reference stands for; "" is nothing.
func (r *rig) expect(ref, want string) {
	r.Helper()
	if got, ok := r.resolve("/test", ref); got != want || ok != (want != "") {
		r.Errorf("%s is %q, %v; want %q", ref, got, ok, want)
	}
}

// tells compares what has changed, beside expect's own key.
func (r *rig) tells(keys ...string) {
	r.Helper()
	got := slices.DeleteFunc(r.takeChanged(), func(key string) bool { return key == "/test" })
	if !slices.Equal(got, keys) {
		r.Errorf("changed are %v, want %v", got, keys)
	}
}

// bubble runs a test with a manager in memory under a clock of its own.
func bubble(t *testing.T, s Settings, test func(r *rig, m *memory)) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{documents: map[string]string{"a": `{"x":"1","y":"2"}`}, fetched: map[string]int{}}
		conf := fmt.Sprintf(`%q`, t.Name())
		memories.Store(conf, m)
		t.Cleanup(func() { memories.Delete(conf) })
		r := start(t, s)
		r.setObject("memory/1", []byte(conf))
		test(r, m)
	})
}

func TestOneFetchForManyReferences(t *testing.T) {
	bubble(t, Settings{}, func(r *rig, m *memory) {
		for i := range 1000 {
			r.meet(fmt.Sprint("/routes/", i), "$secret://memory/1/a/x", "$SECRET://memory/1/a/y")
		}
		r.expect("$secret://memory/1/a/x", "1")
		r.expect("$SECRET://memory/1/a/y", "2")
		if n := m.count("a"); n != 1 {
			r.Errorf("fetched %d times", n)
		}
		r.tells()
	})
}

func TestRefresh(t *testing.T) {
	bubble(t, Settings{}, func(r *rig, m *memory) {
		r.meet("/routes/1", "$secret://memory/1/a/x")
		r.meet("/ssls/1", "$secret://memory/1/a/x", "$secret://memory/1/a/y")
		time.Sleep(301 * time.Second)
		synctest.Wait()
		r.tells()
		before := m.count("a")
		if before < 2 || before > 3 { // y came later than x
			r.Errorf("fetched %d times", before)
		}
		m.set(func() { m.documents["a"] = `{"x":"1","y":"3"}` })
		time.Sleep(200 * time.Second)
		synctest.Wait()
		r.expect("$secret://memory/1/a/y", "2")
		time.Sleep(101 * time.Second)
		synctest.Wait()
		<-r.Changed()
		r.tells("/ssls/1")
		r.expect("$secret://memory/1/a/y", "3")
	})
}

// A manager that is away changes nothing; one that says that a secret is gone does.
func TestFailures(t *testing.T) {
	bubble(t, Settings{TTL: 100 * time.Second, NegativeTTL: 10 * time.Second}, func(r *rig, m *memory) {
		const x = "$secret://memory/1/a/x"
		r.meet("/routes/1", x)
		m.set(func() { m.err = errors.New("it is away") })
		time.Sleep(101 * time.Second)
		synctest.Wait()
		r.expect(x, "1")
		if !strings.Contains(r.logs.String(), "failed to fetch secret value") || !strings.Contains(r.logs.String(), "it is away") {
			r.Errorf("log: %s", r.logs)
		}
		m.set(func() { m.err = nil; m.documents["a"] = `{"x":"new"}` })
		time.Sleep(11 * time.Second)
		synctest.Wait()
		r.expect(x, "new")
		r.tells("/routes/1")
		for _, gone := range []func(){func() { m.documents["a"] = `{"x":null}` }, func() { delete(m.documents, "a") }} {
			m.set(gone)
			time.Sleep(101 * time.Second)
			synctest.Wait()
			r.expect(x, "")
			r.tells("/routes/1")
			m.set(func() { m.documents["a"] = `{"x":"back"}` })
			time.Sleep(11 * time.Second)
			synctest.Wait()
			r.expect(x, "back")
			r.tells("/routes/1")
		}
	})
}

func TestNegativeTTL(t *testing.T) {
	bubble(t, Settings{}, func(r *rig, m *memory) {
		r.meet("/routes/1", "$secret://memory/1/b/x")
		m.set(func() { m.documents["b"] = `{"x":"late"}` })
		time.Sleep(59 * time.Second)
		synctest.Wait()
		r.meet("/routes/2", "$secret://memory/1/b/x")
		r.expect("$secret://memory/1/b/x", "")
		if n := m.count("b"); n != 1 {
			r.Errorf("fetched %d times", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.tells("/routes/1", "/routes/2")
		r.expect("$secret://memory/1/b/x", "late")
	})
}

// What refers to an object is fetched anew when that changes.
func TestObjectsChange(t *testing.T) {
	bubble(t, Settings{}, func(r *rig, m *memory) {
		const x, other = "$secret://memory/1/a/x", "$secret://memory/2/a/x"
		r.meet("/routes/1", x, other)
		if !strings.Contains(r.logs.String(), "no secret conf, secret_uri: "+other) {
			r.Errorf("log: %s", r.logs)
		}
		second := &memory{documents: map[string]string{"a": `{"x":"of another"}`}, fetched: map[string]int{}}
		memories.Store(`"second"`, second)
		defer memories.Delete(`"second"`)
		for _, step := range []struct {
			id, conf, x, other string
			changed            bool
		}{
			{"memory/2", `"second"`, "1", "of another", true},
			{"memory/1", `"second"`, "of another", "of another", true},
			{"memory/2", `"second"`, "of another", "of another", false},
			{"memory/1", ``, "", "of another", true},
			{"memory/2", `"nobody"`, "", "of another", false},
			{"memory/1", `"second"`, "of another", "of another", true},
		} {
			var conf []byte
			if step.conf != "" {
				conf = []byte(step.conf)
			}
			r.setObject(step.id, conf)
			r.await(context.Background())
			if changed := len(r.takeChanged()) > 0; changed != step.changed {
				r.Errorf("%s %s: changed %v", step.id, step.conf, changed)
			}
			r.expect(x, step.x)
			r.expect(other, step.other)
		}
	})
}

// A manager that does not answer holds up the configuration once.
func TestSilentManager(t *testing.T) {
	bubble(t, Settings{}, func(r *rig, m *memory) {
		hang := make(chan struct{})
		m.set(func() { m.hang = hang; m.documents["b"] = `{"x":"3"}` })
		began := time.Now()
		refs := []string{"$secret://memory/1/a/x"}
		for i := range 50 {
			refs = append(refs, fmt.Sprintf("$secret://memory/1/%d/x", i))
		}
		r.meet("/routes/1", refs...)
		if took := time.Since(began); took != 5*time.Second {
			r.Errorf("waited %v", took)
		}
		began = time.Now()
		r.meet("/routes/2", "$secret://memory/1/b/x")
		if took := time.Since(began); took != 0 {
			r.Errorf("waited again, %v", took)
		}
		synctest.Wait()
		m.set(func() { m.hang = nil })
		close(hang)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		r.tells("/routes/1", "/routes/2")
		r.expect("$secret://memory/1/a/x", "1")
		r.expect("$secret://memory/1/b/x", "3")
		m.set(func() { m.hang = make(chan struct{}); m.documents["c"] = `{"x":"4"}` })
		began = time.Now()
		r.meet("/routes/3", "$secret://memory/1/c/x")
		if took := time.Since(began); took != 5*time.Second {
			r.Errorf("one that has answered is waited for again, but for %v", took)
		}
	})
}

// Values that nothing refers to any more are kept up to their end, so many of them.
func TestUnused(t *testing.T) {
	bubble(t, Settings{Count: 2, NegativeCount: 1}, func(r *rig, m *memory) {
		for i, name := range []string{"a", "b", "c", "d"} {
			m.set(func() { m.documents[name] = `{"x":"1"}` })
			r.meet("/routes/"+name, "$secret://memory/1/"+name+"/x", "$secret://memory/1/"+name+"/none")
			time.Sleep(time.Duration(i+1) * time.Second)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			r.refer("/routes/"+name, nil)
		}
		r.meet("/routes/d", "$secret://memory/1/d/x", "$secret://memory/1/d/none")
		r.meet("/routes/b", "$secret://memory/1/b/x")
		if n := m.count("d") + m.count("b"); n != 3 { // two of b
			r.Errorf("fetched %d times", n)
		}
		r.refer("/routes/d", nil)
		time.Sleep(301 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		if len(r.entries) != 1 {
			r.Errorf("%d are kept", len(r.entries))
		}
		r.mu.Unlock()
	})
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{"TEXT": "t", "EMPTY": "", "JSON": `{"a":"b","n":5,"o":{"x":[1]},"null":null,"d/e":"f"}`, "BAD": `{"a":"hush"`}
	r := start(t, Settings{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	for ref, want := range map[string]string{
		"$env://TEXT": "t", "$ENV://TEXT": "t", "$Env://JSON/a": "b", "$env://JSON/n": "5", "$env://JSON/o": `{"x":[1]}`,
		"$env://JSON/d/e": "f", "$env://JSON/": env["JSON"],
		"$env://NONE": "", "$env://JSON/none": "", "$env://JSON/null": "", "$env://BAD/a": "", "$env://TEXT/a": "", "$env://": "",
	} {
		r.expect(ref, want)
		if want == "" && !strings.Contains(r.logs.String(), ref) {
			t.Errorf("%s: nothing in the log", ref)
		}
	}
	if got, ok := r.resolve("/k", "$env://EMPTY"); got != "" || !ok {
		t.Errorf("an empty variable: %q, %v", got, ok)
	}
	if strings.Contains(r.logs.String(), "hush") {
		t.Error("a secret is in the log")
	}
}

func TestBadReferences(t *testing.T) {
	r := start(t, Settings{})
	r.setObject("nope/1", []byte(`{}`))
	r.setObject("vault/bad", []byte(`{"uri":5}`))
	r.setObject("vault/worse", []byte(`{`))
	for ref, want := range map[string]string{
		"$secret://":                "error format: no secret manager",
		"$secret://vault":           "error format: no secret manager",
		"$secret://vault/1":         "error format: no secret conf id",
		"$secret://vault/1/":        "error format: no secret key id",
		"$secret://vault/none/a/b":  "no secret conf, secret_uri: $secret://vault/none/a/b",
		"$secret://nope/1/a/b":      "no secret manager: nope",
		"$secret://vault/bad/a/b":   "secret conf vault/bad: it has members of the wrong type",
		"$secret://vault/worse/a/b": "secret conf vault/worse is not valid JSON",
		"secret://vault/1/a/b":      "error secret_uri prefix: secret://vault/1/a/b",
	} {
		r.meet("/k", ref)
		r.expect(ref, "")
		if !strings.Contains(r.logs.String(), want) {
			t.Errorf("%s: want %q in the log", ref, want)
		}
	}
}

// A Resolver is used by several goroutines; the race detector watches.
func TestConcurrency(t *testing.T) {
	m := &memory{documents: map[string]string{"a": `{"x":"1"}`}, fetched: map[string]int{}}
	memories.Store(`"concurrent"`, m)
	defer memories.Delete(`"concurrent"`)
	r := start(t, Settings{TTL: time.Millisecond, NegativeTTL: time.Millisecond, Count: 3})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 100 {
				if n%10 == i {
					r.setObject("memory/1", []byte(`"concurrent"`))
				}
				ref := fmt.Sprintf("$secret://memory/1/a/%d", n%7)
				r.meet(fmt.Sprint("/routes/", i), ref, "$secret://memory/1/a/x")
				r.takeChanged()
				r.refer(fmt.Sprint("/routes/", i), nil)
			}
		})
	}
	wg.Wait()
	r.setObject("memory/1", []byte(`"concurrent"`))
	r.meet("/routes/1", "$secret://memory/1/a/x")
	r.expect("$secret://memory/1/a/x", "1")
}

func FuzzReference(f *testing.F) {
	f.Add("$secret://vault/1/a/b", `{"b":"c"}`)
	f.Add("$env://A/b", `{"b":5}`)
	f.Fuzz(func(t *testing.T, ref, document string) {
		if object, path, err := parse(ref); err == nil && (strings.Count(object, "/") != 1 || path == "") {
			t.Errorf("%q leads to %q, %q", ref, object, path)
		}
		for name := range managers {
			if name == "memory" {
				continue
			}
			m, err := managers[name]([]byte(document), &client{})
			if err != nil {
				continue
			}
			if parts, err := m.parts(ref); err == nil && len(parts) == 0 {
				t.Errorf("%s: %q means nothing", name, ref)
			}
		}
		_, _ = variable(ref, func(string) (string, bool) { return document, true })
	})
}
