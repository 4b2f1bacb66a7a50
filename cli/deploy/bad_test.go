package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var cut = regexp.MustCompile(`(platform's: |those known are function).*`)

// testdata/bad holds projects, and all that is wrong with them: nothing of them is
// written.
func TestBadProjects(t *testing.T) {
	s := serve(t)
	s.put("actions/taken", `{"exec":{"kind":"nodejs:default","code":"x"}}`)
	cases, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal(cases, err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			folder, want := unpack(t, archive)
			for from, to := range map[string]string{"link.js": "/etc/passwd", "linked/out.js": "/etc/hosts"} {
				if !strings.Contains(string(archive.Files[0].Data), from) && !strings.Contains(string(archive.Files[0].Data), "function: linked") {
					continue
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, from)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(to, filepath.Join(folder, from)); err != nil {
					t.Fatal(err)
				}
			}
			o, out := s.options(folder)
			err = Deploy(t.Context(), o)
			if err == nil {
				t.Fatalf("deployed:\n%s", out)
			}
			var got []string
			for _, line := range problems(t, err) {
				got = append(got, shortened(strings.TrimPrefix(line, folder+"/")))
			}
			for i := range want {
				want[i] = shortened(want[i])
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if left := s.left(); len(left) != 1 {
				t.Errorf("written: %v", left)
			}
		})
	}
}

// shortened cuts a line where a list begins that is not the test's.
func shortened(line string) string { return cut.ReplaceAllString(line, "$1") }

// unpack writes the files of an archive and answers the lines of the one called want.
func unpack(t *testing.T, archive *txtar.Archive) (folder string, want []string) {
	t.Helper()
	folder = t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
			continue
		}
		name := filepath.Join(folder, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder, want
}
