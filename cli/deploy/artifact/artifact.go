// Package artifact reads the code of actions from a project's folder: files, and
// folders as zip archives. Nothing outside of the folder is read, neither by .. nor
// through symbolic links, and nothing that an action could not hold.
package artifact

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// MaxCode is the most bytes that an action's code may have as it is sent.
const MaxCode = 48 << 20

// maxRaw is what can become MaxCode at most: code that is compressed well.
const maxRaw = 512 << 20

// Folder is where a project's files are.
type Folder struct {
	root *os.Root
	// base is the folder, relative to the root, that names in project files start from.
	base string
}

// Open opens the folder project, in which the names of files are relative to base.
// Where base is outside of project, base itself bounds what may be read.
func Open(project, base string) (*Folder, error) {
	project, err1 := filepath.Abs(project)
	base, err2 := filepath.Abs(base)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	below, err := filepath.Rel(project, base)
	if err != nil || !filepath.IsLocal(below) {
		project, below = base, "."
	}
	root, err := os.OpenRoot(project)
	if err != nil {
		return nil, err
	}
	return &Folder{root: root, base: filepath.ToSlash(below)}, nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// name makes a name of a project file one below the root.
func (f *Folder) name(name string) (string, error) {
	clean := filepath.ToSlash(name)
	if path.IsAbs(clean) {
		below, err := filepath.Rel(f.root.Name(), name)
		if err != nil {
			return "", outside(name)
		}
		clean = filepath.ToSlash(below)
	} else {
		clean = path.Join(f.base, clean)
	}
	if !filepath.IsLocal(clean) {
		return "", outside(name)
	}
	return clean, nil
}

func outside(name string) error { return fmt.Errorf("%s is outside of the project's folder", name) }

// IsFolder tells whether name is a folder.
func (f *Folder) IsFolder(name string) (bool, error) {
	info, err := f.stat(name)
	return err == nil && info.IsDir(), err
}

// Exists tells whether name is a file or a folder that may be read.
func (f *Folder) Exists(name string) bool {
	_, err := f.stat(name)
	return err == nil
}

func (f *Folder) stat(name string) (fs.FileInfo, error) {
	below, err := f.name(name)
	if err != nil {
		return nil, err
	}
	info, err := f.root.Stat(below)
	return info, readable(name, err)
}

// readable says what a failure means, without the words of the system where they
// would not tell it.
func readable(name string, err error) error {
	var at *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", name)
	case errors.As(err, &at) && strings.Contains(at.Err.Error(), "escapes"):
		return fmt.Errorf("%s leads outside of the project's folder by a symbolic link", name)
	case errors.As(err, &at):
		return fmt.Errorf("reading %s: %w", name, at.Err)
	}
	return err
}

// Read reads a file that must be no larger than an action may be.
func (f *Folder) Read(name string) ([]byte, error) {
	below, err := f.name(name)
	if err != nil {
		return nil, err
	}
	return f.read(below, name, MaxCode)
}

func (f *Folder) read(below, name string, most int64) ([]byte, error) {
	file, err := f.root.Open(below)
	if err != nil {
		return nil, readable(name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, readable(name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", name)
	case info.Size() > most:
		return nil, tooLarge(name)
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = tooLarge(name)
	}
	return text, err
}

func tooLarge(name string) error {
	return fmt.Errorf("%s is larger than an action's code may be: %d MB", name, MaxCode>>20)
}

// Code is the code of an action as it is sent: a text, or base64 of anything else.
func Code(name string, content []byte) (string, error) {
	code := string(content)
	if IsArchive(name) || !utf8.Valid(content) {
		code = base64.StdEncoding.EncodeToString(content)
	}
	if len(code) > MaxCode {
		return "", tooLarge(name)
	}
	return code, nil
}

// IsArchive tells by its name whether a file holds several.
func IsArchive(name string) bool {
	switch strings.ToLower(path.Ext(filepath.ToSlash(name))) {
	case ".zip", ".jar", ".gz", ".tgz":
		return true
	}
	return false
}
