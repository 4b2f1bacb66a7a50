package process

import (
	"strings"

	"millrace/whisk/runtime"
)

// family is a group of kinds with every version name that OpenWhisk ever listed.
type family struct {
	name     string
	versions string
	standard string // what family:default means
	image    func(version string) string
}

var families = []family{
	{"nodejs", "6 8 10 12 14 16 18 20 22 24", "20", func(v string) string {
		if v == "6" {
			return "openwhisk/nodejs6action:nightly"
		}
		return "openwhisk/action-nodejs-v" + v + ":nightly"
	}},
	{"python", "2 3 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13", "3.10", func(v string) string {
		if !strings.Contains(v, ".") {
			return "openwhisk/python" + v + "action:nightly"
		}
		return "openwhisk/action-python-v" + v + ":nightly"
	}},
}

// mapKinds answers the kinds of the families that have an interpreter, and the
// interpreter of each.
func mapKinds(found []interpreter) ([]runtime.Kind, map[string]*interpreter) {
	var kinds []runtime.Kind
	byKind := map[string]*interpreter{}
	for _, f := range families {
		for _, version := range strings.Fields(f.versions) {
			in := f.nearest(version, found)
			if in == nil {
				continue
			}
			k := runtime.Kind{
				Name: f.name + ":" + version, Family: f.name, Default: version == f.standard,
				Image: f.image(version), StemCells: 1, Runs: in.runs(),
			}
			if k.Default {
				k.StemCells = 2
			}
			kinds = append(kinds, k)
			byKind[k.Name] = in
		}
	}
	return kinds, byKind
}

// nearest answers the interpreter whose version is nearest to the wanted one, the
// newer of two that are as near. Python 3 without more means the default.
func (f *family) nearest(version string, found []interpreter) *interpreter {
	if f.name+version == "python3" {
		version = f.standard
	}
	want := versionNumber(version)
	var best *interpreter
	for n := range found {
		in := &found[n]
		if in.family == f.name && (best == nil || nearer(in.number, best.number, want)) {
			best = in
		}
	}
	return best
}

// nearer tells whether a is a better choice than b.
func nearer(a, b, want int) bool {
	da, db := max(a-want, want-a), max(b-want, want-b)
	return da < db || (da == db && a > b)
}
