package wsk

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// skeletonImage runs native executables.
const skeletonImage = "openwhisk/dockerskeleton"

// runtimeOf maps a file's extension to the family that runs it.
func runtimeOf(extension string) string {
	return map[string]string{
		".js": "nodejs", ".py": "python", ".swift": "swift", ".php": "php", ".rb": "ruby", ".go": "go",
		".java": "java", ".jar": "java", ".rs": "rust", ".ballerina": "ballerina", ".bal": "ballerina", ".cs": "dotnet",
	}[extension]
}

// extension is the opposite, for saving code.
func extension(kind string, binary bool) string {
	family, _, _ := strings.Cut(kind, ":")
	ext := map[string]string{
		"nodejs": ".js", "python": ".py", "swift": ".swift", "php": ".php", "ruby": ".rb", "go": ".go",
		"java": ".jar", "rust": ".rs", "ballerina": ".bal", "dotnet": ".cs",
	}[family]
	if binary && family != "java" {
		return ".zip"
	}
	return ext
}

// codeFlags say what an action's artifact is.
type codeFlags struct {
	kind, main, docker     string
	native, sequence, copy bool
}

// exec makes the exec of an action from its artifact, which may be a file, a
// pipe such as /dev/fd/63, or absent (nil).
func (f *codeFlags) exec(c *client, artifact *string) (*exec, error) {
	if f.sequence {
		return c.sequence(artifact)
	}
	if artifact == nil && f.kind == "" && f.main == "" && f.docker == "" {
		return nil, nil
	}
	e := &exec{Kind: f.kind, Main: f.main}
	ext := ""
	if artifact != nil {
		text, err := readFile(*artifact)
		if err != nil {
			return nil, err
		}
		ext = strings.ToLower(filepath.Ext(*artifact))
		code := string(text)
		if ext == ".zip" || ext == ".jar" || ext == ".gz" || !utf8.Valid(text) {
			code = base64.StdEncoding.EncodeToString(text)
		}
		e.Code = &code
	}
	switch {
	case f.native:
		e.Kind, e.Image = "blackbox", skeletonImage
	case f.docker != "":
		e.Kind, e.Image = "blackbox", f.docker
	case e.Kind == "" && artifact != nil:
		if err := f.guessKind(e, ext); err != nil {
			return nil, err
		}
	}
	if ext == ".jar" && e.Main == "" {
		return nil, usageError("Java actions require --main to specify the fully-qualified name of the main class")
	}
	return e, nil
}

func (f *codeFlags) guessKind(e *exec, ext string) error {
	family := runtimeOf(ext)
	switch {
	case ext == ".zip" || ext == ".gz":
		return usageError("creating an action from a %s artifact requires specifying the action kind explicitly", ext)
	case family == "":
		return usageError("'%s' is not a supported action runtime", ext)
	}
	e.Kind = family + ":default"
	return nil
}

// sequence reads a comma separated list of actions.
func (c *client) sequence(artifact *string) (*exec, error) {
	if artifact == nil {
		return nil, usageError("Comma separated action sequence is required")
	}
	e := &exec{Kind: "sequence"}
	for _, part := range strings.Split(*artifact, ",") {
		n, err := c.parseName(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		e.Components = append(e.Components, n.full())
	}
	return e, nil
}
