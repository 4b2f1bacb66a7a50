package process

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// archiveError is what an action's author is told about a bad archive.
type archiveError struct{ text string }

func (e *archiveError) Error() string { return e.text }

// maxPath bounds the names of entries, in bytes: deeper folders could neither be
// used by an interpreter nor be removed without a file descriptor for each.
const maxPath = 1024

const uncompressing = "There was an error uncompressing the action archive."

func badArchive(format string, args ...any) error {
	return &archiveError{uncompressing + " " + fmt.Sprintf(format, args...)}
}

// unpack writes a zip or tar.gz archive into a new folder and answers how many
// bytes its files have. Nothing is written outside the folder, whatever the names
// and links in the archive say.
func unpack(dir string, data []byte, maxBytes int64, maxEntries int) (int64, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	u := &unpacker{root: root, maxBytes: maxBytes, bytesLeft: maxBytes, entriesLeft: maxEntries, maxEntries: maxEntries, dirs: map[string]bool{".": true}}
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		err = u.zip(data)
	case bytes.HasPrefix(data, []byte("\x1f\x8b\x08")):
		err = u.tar(data)
	default:
		err = badArchive("The file type is unsupported")
	}
	if err == nil {
		err = u.open()
	}
	return maxBytes - u.bytesLeft, err
}

type unpacker struct {
	root        *os.Root
	maxBytes    int64
	bytesLeft   int64
	maxEntries  int
	entriesLeft int
	dirs        map[string]bool // made already
}

func (u *unpacker) zip(data []byte) error {
	if u.tooManyHeaders(data) {
		return u.tooManyEntries()
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return badArchive("%v", err)
	}
	for _, f := range r.File {
		if err := u.zipEntry(f); err != nil {
			return err
		}
	}
	return nil
}

// tooManyHeaders tells whether a zip's directory has more entries than are allowed,
// before the reader takes ten times their size in memory. It counts what the data
// holds, since what the archive says of itself may be a lie.
func (u *unpacker) tooManyHeaders(data []byte) bool {
	const headerLen = 46 // of one entry without its name
	if len(data) <= headerLen*u.maxEntries {
		return false
	}
	return bytes.Count(data, []byte("PK\x01\x02")) > u.maxEntries
}

// another counts one more entry, or a folder that no entry is made for. It tells
// whether there may be one.
func (u *unpacker) another() bool {
	u.entriesLeft--
	return u.entriesLeft >= 0
}

func (u *unpacker) tooManyEntries() error {
	return badArchive("It has more than %d entries", u.maxEntries)
}

func (u *unpacker) zipEntry(f *zip.File) error {
	if strings.HasSuffix(f.Name, "/") {
		return u.add(f.Name, fs.ModeDir, nil, "")
	}
	r, err := f.Open()
	if err != nil {
		return badArchive("%s: %v", f.Name, err)
	}
	defer r.Close()
	if f.Mode()&fs.ModeSymlink == 0 {
		return u.add(f.Name, f.Mode(), r, "")
	}
	target, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return badArchive("%s: %v", f.Name, err)
	}
	return u.add(f.Name, fs.ModeSymlink, nil, string(target))
}

func (u *unpacker) tar(data []byte) error {
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return badArchive("%v", err)
	}
	// Headers count too, so that a stream of nothing but them ends.
	r := tar.NewReader(io.LimitReader(gz, u.maxBytes+int64(u.maxEntries)*2048))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return badArchive("%v", err)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = u.add(h.Name, fs.ModeDir, nil, "")
		case tar.TypeReg:
			err = u.add(h.Name, h.FileInfo().Mode(), r, "")
		case tar.TypeSymlink:
			err = u.add(h.Name, fs.ModeSymlink, nil, h.Linkname)
		case tar.TypeXGlobalHeader:
		default:
			err = badArchive("%s is neither a file nor a folder nor a link", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

// add makes one entry; content is read for a plain file, target is where a link
// points.
func (u *unpacker) add(name string, mode fs.FileMode, content io.Reader, target string) error {
	if !u.another() {
		return u.tooManyEntries()
	}
	if len(name) > maxPath {
		return badArchive("%q… is a longer name than %d bytes", name[:32], maxPath)
	}
	clean := path.Clean(name)
	if clean == "." {
		return nil
	}
	if strings.HasPrefix(name, "/") || strings.Contains(name, "\\") || strings.Contains(name, "\x00") || climbs(clean) {
		return badArchive("%q leads out of it", name)
	}
	err := u.write(clean, mode, content, target)
	if bad := (*archiveError)(nil); err == nil || errors.As(err, &bad) {
		return err
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err // without our paths
	}
	return badArchive("%s: %v", clean, err)
}

func (u *unpacker) write(name string, mode fs.FileMode, content io.Reader, target string) error {
	if mode.IsDir() {
		return u.mkdir(name)
	}
	if err := u.parents(name); err != nil {
		return err
	}
	if mode&fs.ModeSymlink != 0 {
		if strings.HasPrefix(target, "/") || climbs(path.Join(path.Dir(name), target)) {
			return badArchive("the link %q leads out of it", name)
		}
		return u.root.Symlink(target, name)
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	// Executable or not is all that is taken over. Instances are other users.
	if err := f.Chmod(0o644 | mode&0o111); err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(content, u.bytesLeft+1))
	if u.bytesLeft -= n; u.bytesLeft < 0 {
		u.bytesLeft = 0
		err = badArchive("Its content is larger than %d bytes", u.maxBytes)
	}
	return err
}

// parents makes the folders that name is in. One entry can ask for hundreds.
func (u *unpacker) parents(name string) error {
	dir := path.Dir(name)
	if u.dirs[dir] {
		return nil
	}
	if !u.another() {
		return u.tooManyEntries()
	}
	return u.mkdir(dir)
}

func (u *unpacker) mkdir(name string) error {
	if u.dirs[name] {
		return nil
	}
	if err := u.parents(name); err != nil {
		return err
	}
	u.dirs[name] = true
	if err := u.root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// open lets other users into the folders, which our umask may have closed.
func (u *unpacker) open() error {
	for dir := range u.dirs {
		if err := u.root.Chmod(dir, 0o755); err != nil {
			return badArchive("%s is not a folder", dir)
		}
	}
	return nil
}

// climbs tells whether a clean path leaves the folder it is relative to.
func climbs(clean string) bool { return clean == ".." || strings.HasPrefix(clean, "../") }
