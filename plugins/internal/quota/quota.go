// Package quota counts what the limit plugins limit: requests in windows of time,
// requests in a leaky bucket, requests under way. One Store serves the process. It
// is outside the configuration, so that counters outlive a change of it, and holds
// a bounded number of keys: of those that are not used any more the oldest go first.
package quota

import (
	"crypto/sha256"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards = 64
	// perShard bounds the keys of a shard, so that clients who invent keys cannot
	// fill the memory: about 130,000 keys in all.
	perShard = 2048
	// longest is the longest key kept as it is; of longer ones their digest is.
	longest = 128
	// longestWait keeps waits at tiny rates within a time.Duration.
	longestWait = 365 * 24 * time.Hour
)

// Store holds counters by key. It may be used by several goroutines at once.
type Store struct {
	seed   maphash.Seed
	start  time.Time
	scopes atomic.Uint64
	shards [shards]shard

	groupsMu sync.Mutex
	groups   map[string]*group
}

// New makes a store without counters.
func New() *Store {
	return &Store{seed: maphash.MakeSeed(), start: time.Now(), groups: map[string]*group{}}
}

// Scope answers a prefix for keys that no other scope has.
func (s *Store) Scope() string { return strconv.FormatUint(s.scopes.Add(1), 36) + ":" }

// now is the time since the store was made.
func (s *Store) now() time.Duration { return time.Since(s.start) }

// entry is the counter of one key. What its fields mean is up to who counts.
type entry struct {
	key         string
	older, next *entry // in the shard's order of use
	count, past int64
	level       float64
	at          time.Duration
	used        bool
}

// shard is a part of the keys with its own lock.
type shard struct {
	sync.Mutex
	entries        map[string]*entry
	oldest, newest *entry
}

// lock finds the entry of a key, makes one if there is none, and locks its shard,
// which the caller unlocks.
func (s *Store) lock(key []byte) (*shard, *entry) {
	if len(key) > longest {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	sh := &s.shards[maphash.Bytes(s.seed, key)%shards]
	sh.Lock()
	e := sh.entries[string(key)]
	if e != nil {
		sh.unlink(e)
		sh.append(e)
		return sh, e
	}
	if sh.entries == nil {
		sh.entries = map[string]*entry{}
	}
	if len(sh.entries) >= perShard {
		old := sh.oldest
		sh.unlink(old)
		delete(sh.entries, old.key)
	}
	e = &entry{key: string(key)}
	sh.entries[e.key] = e
	sh.append(e)
	return sh, e
}

func (sh *shard) append(e *entry) {
	e.older, e.next = sh.newest, nil
	if sh.newest != nil {
		sh.newest.next = e
	} else {
		sh.oldest = e
	}
	sh.newest = e
}

func (sh *shard) unlink(e *entry) {
	if e.older != nil {
		e.older.next = e.next
	} else {
		sh.oldest = e.next
	}
	if e.next != nil {
		e.next.older = e.older
	} else {
		sh.newest = e.older
	}
}

// Use is what a request did to a window.
type Use struct {
	// Left is how many more requests fit; it is below 0 if this one did not.
	Left int64
	// Reset is how long the window lasts yet.
	Reset time.Duration
}

// Fixed counts a request in a window that began with the first request of a key and
// takes limit requests.
func (s *Store) Fixed(key []byte, limit int64, window time.Duration) Use {
	now := s.now()
	sh, e := s.lock(key)
	defer sh.Unlock()
	if !e.used || now >= e.at {
		e.used, e.count, e.at = true, 0, now+window
	}
	if e.count < limit {
		e.count++
		return Use{limit - e.count, e.at - now}
	}
	return Use{-1, e.at - now}
}

// Sliding counts a request in the last window's length of time, in which the one
// window before the running one counts for the part of it that is still covered. A
// request that does not fit is not counted.
func (s *Store) Sliding(key []byte, limit int64, window time.Duration) Use {
	now := s.now()
	begin := now - now%window
	sh, e := s.lock(key)
	defer sh.Unlock()
	switch {
	case !e.used || begin-e.at > window:
		e.past, e.count = 0, 0
	case begin-e.at == window:
		e.past, e.count = e.count, 0
	}
	e.used, e.at = true, begin
	left := begin + window - now
	estimate := float64(e.past)*float64(left)/float64(window) + float64(e.count+1)
	if estimate > float64(limit) {
		return Use{-1, left}
	}
	e.count++
	return Use{int64(float64(limit) - estimate), left}
}

// Leak takes a request into a bucket that leaks rate requests a second and holds
// burst beyond the one that passes at once. It answers how long the request is to
// wait, or ok false if it does not fit.
func (s *Store) Leak(key []byte, rate, burst float64) (wait time.Duration, ok bool) {
	now := s.now()
	sh, e := s.lock(key)
	defer sh.Unlock()
	level := 0.0
	if e.used {
		level = max(e.level-rate*(now-e.at).Seconds()+1, 0)
	}
	if level > burst {
		return 0, false
	}
	e.used, e.level, e.at = true, level, now
	return time.Duration(min(level/rate, longestWait.Seconds()) * float64(time.Second)), true
}
