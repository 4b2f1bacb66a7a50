package artifact

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// maxEntries bounds how many files one action may be made of.
	maxEntries = 100_000
	maxDepth   = 64
)

// Entry is a file of an archive.
type Entry struct {
	// from is its name below the root; empty if content is given.
	from    string
	content []byte
	run     bool // may be executed
}

// Entries are files by their name in the archive.
type Entries map[string]Entry

// Put adds a file with the given content.
func (e Entries) Put(name string, content []byte) { e[name] = Entry{content: content} }

// Move gives a file another name; it tells whether there is one.
func (e Entries) Move(from, to string) bool {
	entry, ok := e[from]
	if ok {
		delete(e, from)
		e[to] = entry
	}
	return ok
}

// Files answers the files below a folder for which keep answers true, by their name
// relative to it. Links are followed where they stay in the project.
func (f *Folder) Files(folder string, keep func(name string) bool) (Entries, error) {
	below, err := f.name(folder)
	if err != nil {
		return nil, err
	}
	w := &walk{folder: f, keep: keep, found: Entries{}}
	info, err := f.root.Stat(below)
	if err != nil {
		return nil, readable(folder, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder", folder)
	}
	return w.found, w.visit(below, "", []fs.FileInfo{info})
}

type walk struct {
	folder *Folder
	keep   func(name string) bool
	found  Entries
}

// visit walks one folder; above are the folders on the way to it, and it itself.
func (w *walk) visit(below, name string, above []fs.FileInfo) error {
	entries, err := fs.ReadDir(w.folder.root.FS(), below)
	if err != nil {
		return readable(below, err)
	}
	for _, entry := range entries {
		inner := path.Join(name, entry.Name())
		from := path.Join(below, entry.Name())
		if !entry.IsDir() && !w.keep(inner) {
			continue // also a link that leads nowhere does no harm then
		}
		info, err := w.folder.root.Stat(from)
		if err != nil {
			return readable(from, err)
		}
		switch {
		case info.IsDir():
			err = w.descend(from, inner, above, info)
		case info.Mode().IsRegular():
			w.found[inner] = Entry{from: from, run: info.Mode()&0o111 != 0}
		}
		if err == nil && len(w.found) > maxEntries {
			err = fmt.Errorf("%s holds more than %d files", below, maxEntries)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// descend goes into a folder unless the walk is in it already, by a link.
func (w *walk) descend(from, inner string, above []fs.FileInfo, info fs.FileInfo) error {
	if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
		return nil
	}
	if len(above) > maxDepth {
		return fmt.Errorf("%s is nested too deeply", from)
	}
	return w.visit(from, inner, append(slices.Clip(above), info))
}

// File answers one file for an archive.
func (f *Folder) File(name string) (Entry, error) {
	below, err := f.name(name)
	if err != nil {
		return Entry{}, err
	}
	info, err := f.stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		return Entry{}, err
	}
	return Entry{from: below, run: info.Mode()&0o111 != 0}, nil
}

// made is the time of all files of an archive: the same files give the same archive.
var made = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Zip makes an archive.
func (f *Folder) Zip(entries Entries) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	left := int64(maxRaw)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		content := e.content
		if e.from != "" {
			var err error
			if content, err = f.read(e.from, e.from, left); err != nil {
				return nil, err
			}
		}
		left -= int64(len(content))
		if err := add(z, name, content, e.run); err != nil {
			return nil, err
		}
		if b.Len() > MaxCode {
			return nil, fmt.Errorf("the archive is larger than an action's code may be: %d MB", MaxCode>>20)
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

func add(z *zip.Writer, name string, content []byte, run bool) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: made}
	header.SetMode(0o644)
	if run {
		header.SetMode(0o755)
	}
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// Below answers the entries with a folder before their names.
func (e Entries) Below(folder string) Entries {
	out := Entries{}
	for name, entry := range e {
		out[strings.TrimPrefix(path.Join("/", folder, name), "/")] = entry
	}
	return out
}
