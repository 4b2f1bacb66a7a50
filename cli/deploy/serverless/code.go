package serverless

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"millrace/cli/deploy/artifact"
	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

// skeletonImage runs native executables.
const skeletonImage = "openwhisk/dockerskeleton"

// archived are the families whose code is an archive of the project. Their runtimes
// start one file: where it is must be said to Node.js, the others look for a name.
var archived = map[string]struct{ extension, start string }{
	"nodejs": {".js", ""}, "python": {".py", "__main__.py"}, "php": {".php", "index.php"}, "ruby": {".rb", "main.rb"},
}

// exec reads what a function runs: handler is file.function.
func (c *compiler) exec(key string, v document.Value) plan.Exec {
	at := v.Get("handler")
	handler := at.Text()
	runtime := v.Get("runtime")
	if runtime.Missing() {
		runtime = c.provider.Get("runtime")
	}
	name := "nodejs:default"
	if !runtime.Missing() {
		name = runtime.Text()
	}
	family, _, _ := strings.Cut(strings.ToLower(name), ":")
	switch family {
	case "docker":
		return plan.Exec{Kind: whisk.KindBlackbox, Image: handler}
	case "binary":
		return c.archive(plan.Exec{Kind: whisk.KindBlackbox, Image: skeletonImage}, v, at, handler, "exec")
	}
	e := plan.Exec{}
	if image := v.Get("image"); !image.Missing() {
		e.Kind, e.Image = whisk.KindBlackbox, image.Text()
	} else if kind, ok := c.platform.Resolve(name); ok {
		e.Kind = kind
	} else {
		v.Fail("the runtime %q of the function %s is not one of the platform's: %s", name, key, strings.Join(c.platform.Kinds(), ", "))
		return e
	}
	layout, ok := archived[family]
	if !ok {
		return c.single(e, family, at, handler)
	}
	dot := strings.LastIndexByte(handler, '.')
	if dot <= strings.LastIndexByte(handler, '/') {
		at.Fail("the handler %q has the form file.function", handler)
		return e
	}
	e.Main = handler[dot+1:]
	return c.archive(e, v, at, handler[:dot]+layout.extension, layout.start)
}

// single reads a function that is one file: an archive made by others, or source.
func (c *compiler) single(e plan.Exec, family string, at document.Value, handler string) plan.Exec {
	file := handler
	switch {
	case family == "java":
		if file, e.Main, _ = strings.Cut(handler, ":"); e.Main == "" {
			e.Main = "Main"
		}
	case !artifact.IsArchive(handler):
		dot := strings.LastIndexByte(handler, '.')
		if dot < 0 {
			at.Fail("the handler %q has the form file.function", handler)
			return e
		}
		file, e.Main = handler[:dot]+"."+family, handler[dot+1:]
	}
	content, err := c.folder.Read(file)
	if err == nil {
		e.Code, err = encoded(file, content)
	}
	if err != nil {
		at.Fail("the handler: %s", err)
	}
	return e
}

func encoded(file string, content []byte) (*string, error) {
	code, err := artifact.Code(file, content)
	return &code, err
}

// archive makes one of the project's files, or takes the one that is given.
func (c *compiler) archive(e plan.Exec, v, at document.Value, file, start string) plan.Exec {
	content, err := c.packed(v, at, file, start)
	if err == nil {
		e.Code, err = encoded("function.zip", content)
	}
	if err != nil {
		at.Fail("the handler: %s", err)
	}
	return e
}

var packageKeys = []string{"include", "exclude", "patterns", "individually", "artifact", "excludeDevDependencies", "disable"}

func (c *compiler) packed(v, at document.Value, file, start string) ([]byte, error) {
	common, own := c.root.Get("package"), v.Get("package")
	common.Known(packageKeys...)
	own.Known(packageKeys...)
	for _, place := range []document.Value{own, common} {
		if made := place.Get("artifact"); !made.Missing() {
			return c.folder.Read(made.Text())
		}
	}
	handler, err := c.folder.File(file)
	if err != nil {
		if ts := strings.TrimSuffix(file, ".js") + ".ts"; ts != file && c.folder.Exists(ts) {
			return nil, fmt.Errorf("%s is TypeScript: compile it first, and let the handler name what comes out", ts)
		}
		return nil, err
	}
	keep := selection(common, own)
	inside := path.Clean(file)
	files, err := c.folder.Files(".", func(name string) bool { return name == inside || keep(name) })
	if err != nil {
		return nil, err
	}
	if _, ok := files[inside]; !ok { // outside of the service's folder, within the project's
		for strings.HasPrefix(inside, "../") {
			inside = inside[len("../"):]
		}
		files[inside] = handler
	}
	if start != "" {
		files.Move(inside, start)
	} else {
		files.Put("package.json", c.packageJSON(inside))
	}
	return c.folder.Zip(files)
}

// packageJSON tells Node.js what to start. How the project's modules are written
// stays as it says.
func (c *compiler) packageJSON(main string) []byte {
	doc := map[string]string{"main": main}
	if content, err := c.folder.Read("package.json"); err == nil {
		var theirs struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(content, &theirs) == nil && theirs.Type != "" {
			doc["type"] = theirs.Type
		}
	}
	text, _ := json.Marshal(doc) // of texts
	return text
}

// never are files that are no part of a function.
var never = []string{
	".git/**", ".gitignore", ".DS_Store", "npm-debug.log", "yarn-*.log", ".serverless/**", ".serverless_plugins/**", ".env*", ".wskprops",
	"serverless.yml", "serverless.yaml", "serverless.json", "node_modules/serverless/**", "node_modules/serverless-openwhisk/**",
}

// selection tells which files belong to a function: the last pattern that matches
// a name decides. Those of the function come after those of the file.
func selection(places ...document.Value) func(name string) bool {
	var all []artifact.Pattern
	add := func(v document.Value, negative bool) {
		for _, item := range v.Items() {
			p, err := artifact.ParsePattern(item.Text())
			if err != nil {
				item.Fail("%s", err)
				continue
			}
			p.Negative = p.Negative != negative
			all = append(all, p)
		}
	}
	for _, text := range never {
		p, _ := artifact.ParsePattern("!" + text) // of our own
		all = append(all, p)
	}
	for _, place := range places {
		add(place.Get("exclude"), true)
		add(place.Get("include"), false)
		add(place.Get("patterns"), false)
	}
	return func(name string) bool {
		keep := true
		for _, p := range all {
			if p.Match(name) {
				keep = !p.Negative
			}
		}
		return keep
	}
}
