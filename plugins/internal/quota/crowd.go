package quota

import "sync"

// Crowd counts the requests under way by key. A key is forgotten when its last
// request has ended, so that there are never more than requests. The zero Crowd is
// empty.
type Crowd struct {
	mu     sync.Mutex
	places map[string]*Place
}

// Place is the requests under way with one key.
type Place struct {
	key string
	n   int64
}

// Enter counts a request in, unless there are already most. It answers how many
// there are with it; the place is to be left in the end, and nil if it is full.
func (cr *Crowd) Enter(key []byte, most int64) (*Place, int64) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	p := cr.places[string(key)]
	if p == nil {
		if most <= 0 {
			return nil, 0
		}
		if cr.places == nil {
			cr.places = map[string]*Place{}
		}
		p = &Place{key: string(key)}
		cr.places[p.key] = p
	}
	if p.n >= most {
		return nil, p.n
	}
	p.n++
	return p, p.n
}

// Leave counts a request out.
func (cr *Crowd) Leave(p *Place) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if p.n--; p.n == 0 {
		delete(cr.places, p.key)
	}
}
