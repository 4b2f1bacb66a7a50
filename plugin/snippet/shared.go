package snippet

import (
	"container/list"
	"sync"
	"time"
)

// SharedData is what the Lua functions of one gateway keep together, beyond a request:
// ngx.shared. It is a service (see Service) of the gateway. Dictionaries are there when
// they are named. All of them have one bound in bytes; what was not used for longest
// goes first.
type SharedData struct {
	mu    sync.Mutex
	items map[dictKey]*list.Element // of *dictItem
	used  list.List                 // the one used last comes first
	size  int
	now   func() time.Time
}

// Bounds of SharedData.
const (
	maxShared   = 16 << 20 // bytes
	itemFixed   = 200      // what an item takes beside its texts
	maxDictKeys = 1024     // that get_keys answers unless told otherwise
)

type dictKey struct{ dict, key string }

// dictItem is a value: a string, a float64 or a bool.
type dictItem struct {
	dictKey
	value any
	flags int
	until time.Time // zero is for ever
}

func (i *dictItem) size() int {
	n := itemFixed + len(i.dict) + len(i.key)
	if text, ok := i.value.(string); ok {
		n += len(text)
	}
	return n
}

// NewSharedData makes an empty one.
func NewSharedData() *SharedData {
	return &SharedData{items: map[dictKey]*list.Element{}, now: time.Now}
}

// get answers an item that has not run out; the caller holds mu.
func (d *SharedData) get(key dictKey) *dictItem {
	e := d.items[key]
	if e == nil {
		return nil
	}
	item := e.Value.(*dictItem)
	if d.expired(item) {
		d.remove(e)
		return nil
	}
	d.used.MoveToFront(e)
	return item
}

func (d *SharedData) expired(item *dictItem) bool {
	return !item.until.IsZero() && !d.now().Before(item.until)
}

func (d *SharedData) remove(e *list.Element) {
	item := e.Value.(*dictItem)
	d.size -= item.size()
	delete(d.items, item.dictKey)
	d.used.Remove(e)
}

// put enters an item and answers whether others had to go for it; the caller holds mu.
func (d *SharedData) put(item *dictItem) (forcible bool) {
	if old := d.items[item.dictKey]; old != nil {
		d.remove(old)
	}
	d.size += item.size()
	d.items[item.dictKey] = d.used.PushFront(item)
	for d.size > maxShared {
		oldest := d.used.Back()
		forcible = forcible || !d.expired(oldest.Value.(*dictItem))
		d.remove(oldest)
	}
	return forcible
}

// until answers when something ends that lasts for seconds; 0 is for ever.
func (d *SharedData) until(seconds float64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return d.now().Add(time.Duration(min(seconds, 1e9) * float64(time.Second)))
}
