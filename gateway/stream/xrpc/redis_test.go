package xrpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// begin begins a conversation of a configuration.
func begin(t testing.TB, name, conf string) Conversation {
	t.Helper()
	p, err := Compile(name, json.RawMessage(conf), true)
	if err != nil {
		t.Fatal(err)
	}
	return p.Begin()
}

// wire writes a command as clients send it.
func wire(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// read reads all calls of bytes that come in pieces.
func read(t testing.TB, from func([]byte) (int, *Call, error), text string, piece int) (all []*Call) {
	t.Helper()
	for len(text) > 0 {
		b := []byte(text[:min(piece, len(text))])
		text = text[len(b):]
		for len(b) > 0 {
			n, call, err := from(b)
			if err != nil {
				t.Fatal(err)
			}
			if call != nil {
				all = append(all, call)
			}
			b = b[n:]
		}
	}
	return all
}

func lines(all []*Call) string {
	var out []string
	for _, c := range all {
		out = append(out, c.Line)
	}
	return strings.Join(out, "|")
}

// As t/xrpc/redis.t has it: delays by command and by key, wherever a command has keys.
func TestRedisFaults(t *testing.T) {
	const conf = `{"faults":[{"delay":1,"commands":["GET","mget","del","ping"],"key":"a"},{"delay":2,"commands":["get"],"key":"b"},{"delay":3,"commands":["mget","HMSET"]},
		{"delay":4,"commands":["mset","brpop","rename","bitop","object","migrate"],"key":"a"},{"delay":0.5,"commands":["set"]},{"delay":0.25,"commands":["set"]}]}`
	for command, want := range map[string]float64{
		"get a": 1, "GET b": 2, "get c": 0, "get c a": 0, "mget x a": 1, "mget x y": 3, "del x y a": 1, "del x": 0, "ping a": 1, "ping": 0,
		"hmset animals a b": 3, "mset x a y b": 0, "mset x y a b": 4, "brpop x a 1": 4, "brpop x a": 0, "rename x a": 4, "rename x y a": 0,
		"bitop a x a": 4, "bitop a x": 0, "object encoding a": 4, "object a": 0, "migrate h 1 a": 4, "set x y": 0.25, "keys a": 0,
	} {
		r := begin(t, "redis", conf)
		for _, text := range []string{wire(strings.Fields(command)...), command + "\r\n"} {
			all := read(t, r.FromClient, text, 3)
			if len(all) != 1 || all[0].Delay != time.Duration(want*float64(time.Second)) {
				t.Errorf("%s: %+v, want a delay of %v s", command, all, want)
			}
		}
	}
}

func TestRedisLines(t *testing.T) {
	big, key := strings.Repeat("v", 2000), strings.Repeat("k", 300)
	r := begin(t, "redis", fmt.Sprintf(`{"faults":[{"delay":1,"commands":["set"],"key":%q},{"delay":2,"commands":["get"],"key":%q}]}`, key, big))
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"HMSET", "animals", "dog", "bark"}, "hmset animals dog bark"},
		{[]string{"set", key, big}, "set " + key + " " + big[:128] + "...(2000 bytes)"},
		{[]string{"get", big}, "get " + big},
		{[]string{"AUTH", "me", "secret"}, "auth *** ***"},
		{[]string{"hello", "3", "auth", "me", "secret"}, "hello 3 *** *** ***"},
		{[]string{"config", "set", "requirepass", "secret"}, "config set requirepass ***"},
		{[]string{"sentinel", "set", "main", "auth-pass", "secret"}, "sentinel set main *** ***"},
		{[]string{"append", key, key}, "append " + key[:128] + "...(300 bytes) " + key[:128] + "...(300 bytes)"},
	} {
		all := read(t, r.FromClient, wire(tt.args...), 1000)
		if len(all) != 1 || all[0].Line != tt.want || all[0].Command != strings.ToLower(tt.args[0]) {
			t.Errorf("%.50q: got %q", tt.args, lines(all))
		}
	}
	many := read(t, r.FromClient, wire(append([]string{"mset"}, strings.Fields(strings.Repeat("k v ", 10000))...)...), 1000)
	if len(many) != 1 || len(many[0].Line) > maxCommandLine+200 {
		t.Errorf("a line of %d bytes", len(many[0].Line))
	}
}

// Each answer ends the call that it is of.
func TestRedisAnswers(t *testing.T) {
	message := wire("message", "a", "text")
	sub := func(kind, channel string, n int) string {
		return fmt.Sprintf("*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n:%d\r\n", len(kind), kind, len(channel), channel, n)
	}
	for _, tt := range []struct{ name, sent, replies, want, left string }{
		{"pipeline", wire("get", "a") + wire("incr", "b") + wire("lrange", "l", "0", "-1"), "$1\r\nx\r\n:5\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "get a|incr b|lrange l 0 -1", ""},
		{"errors", wire("a") + wire("b"), "-ERR x\r\n$-1\r\n", "a|b", ""},
		{"unanswered", wire("get", "a") + wire("blpop", "b", "0"), "$-1\r\n", "get a", "blpop b 0"},
		{"nobody asked", "", "-DENIED\r\n", "", ""},
		{"subscribe", wire("subscribe", "a", "b") + wire("ping"), sub("subscribe", "a", 1) + message + sub("subscribe", "b", 2) + message + wire("pong", ""), "subscribe a b|ping", ""},
		{"unsubscribe", wire("psubscribe", "a") + wire("punsubscribe") + wire("lrange", "m"), sub("psubscribe", "a", 1) + sub("punsubscribe", "a", 0) + message, "psubscribe a|punsubscribe|lrange m", ""},
		{"unsubscribe from several", wire("subscribe", "a", "b") + wire("unsubscribe") + wire("ping"),
			sub("subscribe", "a", 1) + sub("subscribe", "b", 2) + sub("unsubscribe", "a", 1) + sub("unsubscribe", "b", 0) + "+PONG\r\n", "subscribe a b|unsubscribe|ping", ""},
		{"without a channel", wire("unsubscribe") + wire("ping"), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+PONG\r\n", "unsubscribe|ping", ""},
		{"a list like a message", wire("lrange", "x"), wire("message", "a", "b"), "lrange x", ""},
		{"refused", wire("subscribe", "a") + wire("ping"), "-NOPERM\r\n+PONG\r\n", "subscribe a|ping", ""},
		{"reset", wire("subscribe", "a") + wire("reset") + wire("lrange", "m"), sub("subscribe", "a", 1) + "+RESET\r\n" + message, "subscribe a|reset|lrange m", ""},
		{"version 3", wire("hello", "3") + wire("subscribe", "a") + wire("lrange", "m"),
			"%1\r\n$5\r\nproto\r\n:3\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n" + message, "hello 3|subscribe a|lrange m", ""},
		{"invalidations", wire("get", "a"), ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n$1\r\nx\r\n", "get a", ""},
	} {
		for _, piece := range []int{1, 5, 1000} {
			r := begin(t, "redis", "")
			read(t, r.FromClient, tt.sent, piece)
			if got := lines(read(t, r.FromNode, tt.replies, piece)); got != tt.want {
				t.Errorf("%s by %d: got %s, want %s", tt.name, piece, got, tt.want)
			}
			if got := lines(r.Unanswered()); got != tt.left {
				t.Errorf("%s by %d: left %s, want %s", tt.name, piece, got, tt.left)
			}
		}
	}
}

// Clients may ask for no answers.
func TestRedisSilence(t *testing.T) {
	r := begin(t, "redis", "")
	var silent []string
	for _, command := range []string{"get a", "client reply skip", "get b", "get c", "client reply off", "get d", "client reply skip", "client reply on", "client setname reply", "get e"} {
		for _, c := range read(t, r.FromClient, wire(strings.Fields(command)...), 100) {
			if c.Silent {
				silent = append(silent, c.Line)
			}
		}
	}
	if got := strings.Join(silent, "|"); got != "client reply skip|get b|client reply off|get d|client reply skip" {
		t.Errorf("silent: %s", got)
	}
	if got := lines(read(t, r.FromNode, "+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n", 100)); got != "get a|get c|client reply on|client setname reply|get e" {
		t.Errorf("answered: %s", got)
	}
}

// A client that makes calls and takes no answers is held up, not the memory filled.
func TestManyUnanswered(t *testing.T) {
	r := begin(t, "redis", "")
	ended := make(chan error)
	go func() {
		for {
			if _, _, err := r.FromClient([]byte("PING\r\n")); err != nil {
				ended <- err
				return
			}
		}
	}()
	node := r.(*redis)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		node.mu.Lock()
		full := node.size >= maxWaiting
		node.mu.Unlock()
		if full {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing holds the client up")
		}
	}
	read(t, r.FromNode, "+PONG\r\n", 10)
	r.Close()
	if err := <-ended; err != ErrClosed {
		t.Error(err)
	}
	if n := len(r.Unanswered()); n > maxWaiting/callSize+2 {
		t.Errorf("%d calls", n)
	}
}

func FuzzRedis(f *testing.F) {
	f.Add(wire("subscribe", "a")+wire("client", "reply", "off"), wire("subscribe", "a", "1"))
	f.Fuzz(func(t *testing.T, sent, replies string) {
		r := begin(t, "redis", `{"faults":[{"delay":1,"commands":["get"],"key":"a"}]}`)
		calls := 0
		for b := []byte(sent); len(b) > 0; {
			n, call, err := r.FromClient(b)
			if err != nil {
				break
			}
			if call != nil && !call.Silent {
				calls++
			}
			b = b[n:]
		}
		for b := []byte(replies); len(b) > 0; {
			n, call, err := r.FromNode(b)
			if err != nil {
				break
			}
			if call != nil {
				calls--
			}
			b = b[n:]
		}
		if left := len(r.Unanswered()); left != calls {
			t.Errorf("%d calls are left, want %d", left, calls)
		}
	})
}
