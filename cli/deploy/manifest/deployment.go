package manifest

import (
	"millrace/cli/deploy/document"
)

// overlay is a deployment file: values for what the manifest declares. The nil
// overlay is empty.
type overlay struct {
	reader  *document.Reader
	project document.Value
	places  []document.Value // mappings of packages
	used    map[string]bool  // names that the manifest has, as kind and path
}

func openOverlay(file string, text []byte, vars document.Variables) (*overlay, error) {
	o := &overlay{reader: document.NewReader(file), used: map[string]bool{}}
	root := o.reader.Parse(text).With(vars)
	root.Known("project", "application", "packages", "package")
	o.project = root.Get("project")
	if o.project.Missing() {
		o.project = root.Get("application")
	}
	o.project.Known(projectKeys...)
	o.places = []document.Value{root.Get("packages"), o.project.Get("packages")}
	return o, o.reader.Problems.Err()
}

// of answers a member of the project.
func (o *overlay) of(key string) document.Value {
	if o == nil {
		return document.Value{}
	}
	return o.project.Get(key)
}

// pkg answers what is said of a package.
func (o *overlay) pkg(name string) document.Value {
	if o == nil {
		return document.Value{}
	}
	o.used[name] = true
	for _, place := range o.places {
		if v := place.Get(name); !v.Missing() {
			return v
		}
	}
	return document.Value{}
}

// entity answers what is said of an entity of a package; kind is a key such as
// actions.
func (o *overlay) entity(pkg, kind, name string) document.Value {
	if o == nil {
		return document.Value{}
	}
	o.used[pkg+"/"+kind+"/"+name] = true
	return o.pkg(pkg).Get(kind).Get(name)
}

// unused warns of what the manifest does not have.
func (o *overlay) unused() {
	for _, place := range o.places {
		for _, p := range place.Members() {
			if !o.used[p.Key] {
				p.Value.Warn("the manifest has no package %s", p.Key)
				continue
			}
			p.Value.Known("inputs", "parameters", "annotations", "actions", "sequences", "triggers", "rules", "namespace", "credential", "apiHost")
			for _, kind := range []string{"actions", "sequences", "triggers", "rules"} {
				for _, m := range p.Value.Get(kind).Members() {
					if !o.used[p.Key+"/"+kind+"/"+m.Key] {
						m.Value.Warn("the manifest has no %s in %s of the package %s", m.Key, kind, p.Key)
					}
				}
			}
		}
	}
}
