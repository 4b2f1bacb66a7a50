package http2

import "slices"

// resets are the newest streams that were closed while the client may still have been
// sending: what comes for them is no fault of its.
type resets struct {
	ids []uint32
	at  int // where the next one goes
}

// note adds a stream, of which as many are known as there may be at once.
func (r *resets) note(id uint32, most int) {
	if len(r.ids) < most {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.at%most] = id
	r.at++
}

func (r *resets) has(id uint32) bool { return slices.Contains(r.ids, id) }
