package wsk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Of projects -p is the folder: only --param is followed by a pair.
func TestJoinPairsOfProjects(t *testing.T) {
	for _, test := range []struct{ args, want []string }{
		{[]string{"project", "deploy", "-p", "x", "-m", "y"}, []string{"project", "deploy", "-p", "x", "-m", "y"}},
		{[]string{"wsk", "-u", "key", "project", "deploy", "-p", "x", "--param", "a", "b"}, []string{"wsk", "-u", "key", "project", "deploy", "-p", "x", "--param", "a\x00b"}},
		{[]string{"__complete", "wsk", "-i", "project", "-p", "x"}, []string{"__complete", "wsk", "-i", "project", "-p", "x"}},
		{[]string{"--apihost", "project", "action", "-p", "x", "y"}, []string{"--apihost", "project", "action", "-p", "x\x00y"}},
		{[]string{"action", "project", "-p", "x", "y"}, []string{"action", "project", "-p", "x\x00y"}},
		{[]string{"project", "deploy", "--param", "a"}, nil},
	} {
		got, err := JoinPairs(test.args)
		if (err != nil) != (test.want == nil) {
			t.Errorf("%q: %v", test.args, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.args, diff)
		}
	}
}
