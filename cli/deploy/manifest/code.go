package manifest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"millrace/cli/deploy/artifact"
	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
	"millrace/whisk"
)

// skeletonImage runs native executables.
const skeletonImage = "openwhisk/dockerskeleton"

// exec reads what an action runs.
func (c *compiler) exec(name string, v document.Value) plan.Exec {
	e := plan.Exec{Main: v.Get("main").Text()}
	function, inline, image := v.Get("function"), v.Get("code"), v.Get("docker")
	if function.Missing() {
		if function = v.Get("location"); !function.Missing() {
			function.Warn("the key location is deprecated: call it function")
		}
	}
	native := v.Get("native").Bool()
	switch {
	case !image.Missing():
		e.Kind, e.Image = whisk.KindBlackbox, image.Text()
	case native:
		e.Kind, e.Image = whisk.KindBlackbox, skeletonImage
	}
	switch {
	case !function.Missing() && !inline.Missing():
		v.Fail("the action %s has both function and code: only one can be what it runs", name)
	case !inline.Missing():
		code := inline.Raw()
		e.Code = &code
		c.inlineKind(&e, name, v)
	case !function.Missing():
		c.function(&e, name, function.Text(), v, function)
	case image.Missing():
		v.Fail("the action %s has neither function nor code", name)
	}
	return e
}

// inlineKind settles what runs code of the manifest, which has no file's name.
func (c *compiler) inlineKind(e *plan.Exec, name string, v document.Value) {
	runtime := v.Get("runtime")
	switch {
	case e.Image != "":
	case runtime.Missing():
		v.Fail("the action %s has code, so it must say which runtime it is for", name)
	default:
		e.Kind = c.kind(runtime)
	}
}

// kind resolves a runtime that must be there.
func (c *compiler) kind(runtime document.Value) string {
	name := runtime.Text()
	kind, ok := c.platform.Resolve(name)
	switch {
	case ok:
		return kind
	case c.o.Strict:
		return name // the platform may know more than it tells
	}
	runtime.Fail("the runtime %q is not one of the platform's: %s", name, strings.Join(c.platform.Kinds(), ", "))
	return name
}

// function reads the code that a path or URL leads to.
func (c *compiler) function(e *plan.Exec, name, from string, v, at document.Value) {
	from = strings.TrimSpace(from)
	content, file, err := c.content(from, v)
	if err != nil {
		at.Fail("the function of the action %s: %s", name, err)
		return
	}
	code, err := artifact.Code(file, content)
	if err != nil {
		at.Fail("the function of the action %s: %s", name, err)
		return
	}
	e.Code = &code
	if e.Image == "" {
		e.Kind = c.functionKind(name, file, v, at)
	}
	if path.Ext(file) == ".jar" && e.Main == "" {
		v.Fail("the action %s is a .jar, so main must name its class", name)
	}
}

// functionKind settles what runs a file: the runtime named, or that of its extension.
func (c *compiler) functionKind(name, file string, v, at document.Value) string {
	runtime, family := v.Get("runtime"), platform.FamilyOf(file)
	archive := artifact.IsArchive(file)
	if runtime.Missing() {
		if family == "" {
			at.Fail("the action %s must say its runtime, which %s does not tell", name, describe(file, archive))
			return ""
		}
		kind, ok := c.platform.Resolve(family)
		if !ok {
			at.Fail("the platform has no runtime for %s", file)
		}
		return kind
	}
	asked := runtime.Text()
	kind, ok := c.platform.Resolve(asked)
	if archive || c.o.Strict || family == "" {
		return c.kind(runtime)
	}
	if asksFor, _, _ := strings.Cut(strings.ToLower(asked), ":"); ok && asksFor == family {
		return kind
	}
	fallback, known := c.platform.Resolve(family)
	if !known {
		return c.kind(runtime)
	}
	runtime.Warn("the runtime %q of the action %s is %s: it is deployed as %s", asked, name,
		map[bool]string{true: "not for " + path.Ext(file) + " files", false: "not one of the platform's"}[ok], fallback)
	return fallback
}

func describe(file string, archive bool) string {
	if archive {
		return "an archive"
	}
	return fmt.Sprintf("the file's name %s", path.Base(filepath.ToSlash(file)))
}

// content answers code and the name that tells its kind.
func (c *compiler) content(from string, v document.Value) ([]byte, string, error) {
	switch {
	case strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://"):
		return download(from)
	case strings.HasPrefix(from, "github.com/"):
		return nil, "", fmt.Errorf("%s is not fetched: clone the repository into the project and name the file", from)
	}
	isFolder, err := c.folder.IsFolder(from)
	if err != nil {
		return nil, "", err
	}
	if isFolder {
		content, err := c.zip(from, v)
		return content, strings.TrimRight(from, "/") + ".zip", err
	}
	for _, key := range []string{"include", "exclude"} {
		if at := v.Get(key); !at.Missing() {
			at.Fail("%s is for functions that are folders, and %s is a file", key, from)
		}
	}
	content, err := c.folder.Read(from)
	return content, from, err
}

// zip makes an archive of a folder, with what include adds and exclude takes away.
func (c *compiler) zip(from string, v document.Value) ([]byte, error) {
	excluded := patterns(v.Get("exclude"))
	drop := func(name string) bool {
		out := false
		for _, p := range excluded {
			if p.Match(name) || p.Match(path.Join(from, name)) {
				out = !p.Negative
			}
		}
		return out
	}
	files, err := c.folder.Files(from, func(name string) bool { return !drop(name) })
	if err != nil {
		return nil, err
	}
	for _, item := range v.Get("include").Items() {
		if err := c.include(files, item); err != nil {
			return nil, err
		}
	}
	for name := range files {
		if drop(name) {
			delete(files, name)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no files", from)
	}
	return c.folder.Zip(files)
}

func patterns(v document.Value) []artifact.Pattern {
	var out []artifact.Pattern
	for _, item := range v.Items() {
		p, err := artifact.ParsePattern(item.Text())
		if err != nil {
			item.Fail("%s", err)
			continue
		}
		out = append(out, p)
	}
	return out
}

// include adds [source, destination]: a file, a folder or a pattern. Without a
// destination files keep their path in the project.
func (c *compiler) include(files artifact.Entries, item document.Value) error {
	pair := item.Items()
	if len(pair) == 0 || len(pair) > 2 {
		item.Fail("include has items of the form [source, destination]")
		return nil
	}
	source := path.Clean(pair[0].Text())
	folder, pattern := fixed(source)
	destination := folder
	if len(pair) == 2 {
		destination = pair[1].Text()
	}
	if pattern == "" {
		if isFolder, err := c.folder.IsFolder(source); err != nil {
			return err
		} else if !isFolder {
			return c.includeFile(files, source, destination, pair)
		}
		pattern = "**"
	}
	p, err := artifact.ParsePattern(pattern)
	if err != nil {
		return err
	}
	found, err := c.folder.Files(folder, p.Match)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		item.Warn("%s includes no file", source)
	}
	for name, e := range found.Below(destination) {
		files[name] = e
	}
	return nil
}

func (c *compiler) includeFile(files artifact.Entries, source, destination string, pair []document.Value) error {
	e, err := c.folder.File(source)
	if err != nil {
		return err
	}
	if len(pair) == 2 && (strings.HasSuffix(destination, "/") || destination == "." || path.Ext(destination) == "") {
		destination = path.Join(destination, path.Base(source)) // a folder
	}
	for name, e := range (artifact.Entries{destination: e}).Below("") {
		files[name] = e
	}
	return nil
}

// fixed splits a pattern at its first folder that is one.
func fixed(source string) (folder, pattern string) {
	if !artifact.HasWildcard(source) {
		return source, ""
	}
	parts := strings.Split(source, "/")
	n := 0
	for !artifact.HasWildcard(parts[n]) {
		n++
	}
	return path.Join(append([]string{"."}, parts[:n]...)...), strings.Join(parts[n:], "/")
}

// download fetches code of this machine. Other machines are not asked: what they
// answer tomorrow nobody has looked at.
func download(from string) ([]byte, string, error) {
	u, err := url.Parse(from)
	if err != nil {
		return nil, "", err
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, "", fmt.Errorf("%s is not fetched: download it into the project and name the file", u.Redacted())
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(from)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s answers %s", u.Redacted(), resp.Status)
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, artifact.MaxCode+1))
	if err == nil && len(content) > artifact.MaxCode {
		err = fmt.Errorf("%s is larger than %d MB", u.Redacted(), artifact.MaxCode>>20)
	}
	return content, path.Base(u.Path), err
}
