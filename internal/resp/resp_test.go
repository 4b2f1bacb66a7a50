package resp

import (
	"fmt"
	"strings"
	"testing"
)

// commands answers what is read of bytes that come in pieces of a size.
func commands(text string, piece int) (got []string, err error) {
	var current []string
	c := Commands{Keep: 70, Visit: func(a Argument) {
		if a.Index == 0 {
			current = nil
		}
		current = append(current, string(a.Text))
		if a.Size > int64(len(a.Text)) {
			current[len(current)-1] += fmt.Sprintf("+%d", a.Size-int64(len(a.Text)))
		}
	}}
	err = scan(text, piece, c.Scan, func() { got = append(got, strings.Join(current, " ")) })
	return got, err
}

func scan(text string, piece int, scan func([]byte) (int, bool, error), done func()) error {
	for len(text) > 0 {
		b := []byte(text[:min(piece, len(text))])
		text = text[len(b):]
		for len(b) > 0 {
			n, ended, err := scan(b)
			if err != nil {
				return err
			}
			if ended {
				done()
			}
			b = b[n:]
		}
	}
	return nil
}

func TestCommands(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range []struct{ text, want string }{
		{"*1\r\n$4\r\nPING\r\n", "PING"},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*2\r\n$3\r\nget\r\n$4\r\na\r\nb\r\n", "GET |get a\r\nb"},
		{"*2\r\n$3\r\nSET\r\n$100\r\n" + long + "\r\n", "SET " + long[:70] + "+30"},
		{"*0\r\n*-1\r\n*1\r\n$1\r\na\r\n", "a"},
		{"\r\n\nPING\r\nset  a b\n*1\r\n$1\r\na\r\n", "PING|set a b|a"},
		{"+a\r\n$1\r\n", "+a|$1"},
		{"*1\r\n$4\r\nPIN", ""},
		{"*1\r\n:4\r\n", "error"},
		{"*1\r\n$-1\r\n", "error"},
		{"*x\r\n", "error"},
		{"*\r\n", "error"},
		{"*99999999999\r\n", "error"},
		{"*1\r\n$99999999999999999999\r\n", "error"},
		{"*1\n", "error"},
		{"*1\r\n$1\r\nab\r\n", "error"},
		{"*1" + strings.Repeat("0", 100) + "\r\n", "error"},
		{strings.Repeat("a", maxInline+1), "error"},
	} {
		for _, piece := range []int{1, 2, 3, 7, len(tt.text)} {
			got, err := commands(tt.text, piece)
			if err != nil {
				got = []string{"error"}
			}
			if strings.Join(got, "|") != tt.want {
				t.Errorf("%.80q by %d: got %q, %v", tt.text, piece, got, err)
			}
		}
	}
}

func replies(text string, piece int) (got []string, err error) {
	var r Replies
	err = scan(text, piece, r.Scan, func() { got = append(got, fmt.Sprintf("%c%s%d", r.Reply.Type, r.Reply.Kind, r.Reply.Last)) })
	return got, err
}

func TestReplies(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"+OK\r\n-ERR " + strings.Repeat("x", 1000) + "\r\n:-5\r\n:12\r\n", "+0 -0 :0 :12"},
		{"$-1\r\n$0\r\n\r\n$3\r\na\r\n\r\n", "$0 $0 $0"},
		{"*0\r\n*-1\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n+x\r\n+OK\r\n", "*0 *0 *a1 +0"},
		{"*3\r\n$9\r\nsubscribe\r\n$3\r\nfoo\r\n:1\r\n", "*subscribe1"},
		{"*3\r\n*1\r\n$1\r\nx\r\n$3\r\nfoo\r\n:1\r\n", "*1"},
		{"%1\r\n+a\r\n*1\r\n:2\r\n~1\r\n#t\r\n,1.5\r\n_\r\n(123\r\n=5\r\ntxt:a\r\n!3\r\nERR\r\n", "%a2 ~0 ,0 _0 (0 =0 !0"},
		{"|1\r\n+ttl\r\n*1\r\n:9\r\n>2\r\n+message\r\n$1\r\na\r\n:1\r\n", ">message0 :1"},
		{"|0\r\n:1\r\n", ":1"},
		{"*2\r\n:1\r\n", ""},
		{"x\r\n", "error"},
		{"\r\n", "error"},
		{"*?\r\n", "error"},
		{"$?\r\n", "error"},
		{"$3\r\nabcd\r\n", "error"},
		{"+OK\n", "error"},
	} {
		for _, piece := range []int{1, 2, 3, 7, len(tt.text)} {
			got, err := replies(tt.text, piece)
			if err != nil {
				got = []string{"error"}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%.80q by %d: got %q, %v", tt.text, piece, got, err)
			}
		}
	}
}

// Whatever comes, it is read alike in any pieces.
func FuzzCommands(f *testing.F) {
	f.Add("*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING a\r\n", 3)
	f.Fuzz(func(t *testing.T, text string, piece int) { alike(t, text, piece, commands) })
}

func FuzzReplies(f *testing.F) {
	f.Add("*2\r\n$1\r\na\r\n:1\r\n+OK\r\n%1\r\n+a\r\n_\r\n", 3)
	f.Fuzz(func(t *testing.T, text string, piece int) { alike(t, text, piece, replies) })
}

func alike(t *testing.T, text string, piece int, read func(string, int) ([]string, error)) {
	want, errWhole := read(text, max(len(text), 1))
	got, err := read(text, max(piece, 1))
	if fmt.Sprint(got) != fmt.Sprint(want) || (err == nil) != (errWhole == nil) {
		t.Errorf("%q by %d: %q, %v, but as a whole %q, %v", text, piece, got, err, want, errWhole)
	}
}
