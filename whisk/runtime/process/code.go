package process

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// codeStore keeps unpacked archives, each once, for all instances that use it.
// Every instance sees the whole store, but cannot list it: an archive's folder has
// a random name, which only its own action learns.
type codeStore struct {
	dir        string
	maxBytes   int64 // of archives that nobody uses
	maxContent int64 // of one archive
	maxEntries int

	mu     sync.Mutex
	byID   map[string]*code
	unused *list.List // of *code, the longest unused first
	bytes  int64      // of the unused ones
}

// code is one unpacked archive.
type code struct {
	id    string
	name  string // its folder
	ready chan struct{}
	err   error // of the unpacking, set before ready is closed
	bytes int64

	users  int
	unused *list.Element
}

func newCodeStore(dir string, cfg Config) *codeStore {
	return &codeStore{
		dir: dir, maxBytes: cfg.CodeCache, maxContent: cfg.MaxUnpacked, maxEntries: cfg.MaxEntries,
		byID: map[string]*code{}, unused: list.New(),
	}
}

// acquire answers an archive, unpacked now if it is not yet. An *archiveError says
// what is wrong with it. Each success wants a release.
func (s *codeStore) acquire(id string, data []byte) (*code, error) {
	if id == "" {
		sum := sha256.Sum256(data)
		id = hex.EncodeToString(sum[:])
	}
	s.mu.Lock()
	c := s.byID[id]
	first := c == nil
	if first {
		c = &code{id: id, name: rand.Text(), ready: make(chan struct{})}
		s.byID[id] = c
	}
	c.users++
	if c.unused != nil {
		s.unused.Remove(c.unused)
		s.bytes -= c.bytes
		c.unused = nil
	}
	s.mu.Unlock()
	if first {
		c.bytes, c.err = unpack(filepath.Join(s.dir, c.name), data, s.maxContent, s.maxEntries)
		close(c.ready)
	}
	<-c.ready
	if c.err != nil {
		return nil, errors.Join(c.err, s.drop(c))
	}
	return c, nil
}

// drop forgets what could not be unpacked, so that it is tried again.
func (s *codeStore) drop(c *code) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[c.id] != c {
		return nil
	}
	delete(s.byID, c.id)
	return os.RemoveAll(filepath.Join(s.dir, c.name))
}

// release says that an instance is done with an archive. It is kept as long as
// there is room.
func (s *codeStore) release(c *code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.unused = s.unused.PushBack(c)
	s.bytes += c.bytes
	for s.bytes > s.maxBytes && s.unused.Len() > 0 {
		old := s.unused.Remove(s.unused.Front()).(*code)
		s.bytes -= old.bytes
		delete(s.byID, old.id)
		// What cannot be removed now goes with the run's folder.
		_ = os.RemoveAll(filepath.Join(s.dir, old.name))
	}
}
