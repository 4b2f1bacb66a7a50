package sealed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyFile answers the key that a file holds in its text form. If there is no such
// file and create is set, it is made with a new key, readable by its owner only,
// and on disk before KeyFile returns; created says so. Processes that start at the
// same moment agree on one key.
func KeyFile(path string, create bool) (key string, created bool, err error) {
	key, err = readKey(path)
	if !create || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	created, err = writeKey(path, NewKey())
	if err != nil {
		return "", false, fmt.Errorf("making the key file %s: %w", path, err)
	}
	key, err = readKey(path)
	return key, created, err
}

func readKey(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the key file: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if _, err := ParseKey(key); err != nil {
		return "", fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// writeKey makes the file in one step, or leaves the one that is there.
func writeKey(path, key string) (created bool, err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(key + "\n")
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return false, err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		return false, err
	}
	return true, syncDir(dir)
}

// syncDir makes the names in a folder as durable as their files.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
