package process

import (
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// interpreter is an installed program that runs a family of kinds.
type interpreter struct {
	family  string // nodejs or python
	path    string // the real program, behind shims and links
	version string // 20.20.2
	number  int    // major*1000 + minor, to find the nearest
	// roots are the folders outside the system's that it needs.
	roots []string
}

var launcherOf = map[string]string{"nodejs": "launcher.js", "python": "launcher.py"}

// flagsOf are what an interpreter is started with. V8 measures its heap by the
// whole machine, and would let more garbage pile up than a small action may use
// at all: its first collections must come early.
var flagsOf = map[string][]string{"nodejs": {"--initial-heap-size=16", "--max-semi-space-size=8", "--no-short-builtin-calls"}}

// runs is what the interpreter is, for people: node v20.20.2.
func (in *interpreter) runs() string {
	if in.family == "nodejs" {
		return "node v" + in.version
	}
	return in.family + " " + in.version
}

var programName = regexp.MustCompile(`^(node|nodejs|node-?[0-9]+|python[23]?|python3\.[0-9]+)$`)

// findInterpreters answers the interpreters at the given paths, or those in PATH
// if there are none; each version once, the first found wins. What is known of
// unchanged programs is taken from the file known, which is written anew.
func findInterpreters(paths []string, known string) []interpreter {
	if len(paths) == 0 {
		paths = programsInPath(os.Getenv("PATH"))
	}
	before, now := readProbes(known), make([]*probeResult, len(paths))
	var wg sync.WaitGroup
	for n, path := range paths {
		wg.Go(func() { now[n] = before.look(path) })
	}
	wg.Wait()
	writeProbes(known, before, now)
	var found []interpreter
	seen := map[string]bool{}
	for _, r := range now {
		if r.Version != "" && !seen[r.Family+r.Version] {
			seen[r.Family+r.Version] = true
			found = append(found, r.interpreter())
		}
	}
	return found
}

// programsInPath answers the programs of PATH that look like interpreters, with
// links followed, each once, and in place of a pyenv shim the versions it
// chooses from, newest first.
func programsInPath(path string) []string {
	var programs []string
	seen := map[string]bool{}
	add := func(p string) {
		if real, err := filepath.EvalSymlinks(p); err == nil && !seen[real] {
			seen[real] = true
			programs = append(programs, real)
		}
	}
	for _, dir := range filepath.SplitList(path) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !programName.MatchString(e.Name()) {
				continue
			}
			if versions := pyenvVersions(dir); len(versions) > 0 {
				for _, v := range versions {
					add(v)
				}
				continue
			}
			add(filepath.Join(dir, e.Name()))
		}
	}
	return programs
}

// pyenvVersions answers the interpreters behind a folder of pyenv shims, which
// are shell scripts that take a tenth of a second to choose one.
func pyenvVersions(dir string) []string {
	if filepath.Base(dir) != "shims" {
		return nil
	}
	versions, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "versions", "*", "bin", "python3"))
	if err != nil {
		return nil
	}
	sort.Sort(sort.Reverse(sort.StringSlice(versions)))
	return versions
}

// outsideSystem leaves out folders that every sandbox has.
func outsideSystem(dirs []string) []string {
	var out []string
	for _, d := range dirs {
		d = filepath.Clean(d)
		inSystem := d == "/"
		for _, s := range systemDirs {
			inSystem = inSystem || d == s || strings.HasPrefix(d, s+"/")
		}
		for _, o := range out {
			inSystem = inSystem || d == o
		}
		if !inSystem {
			out = append(out, d)
		}
	}
	return out
}

// versionNumber makes 3011 of 3.11.7 and 20000 of 20.
func versionNumber(version string) int {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return a*1000 + b
}
