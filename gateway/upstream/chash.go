package upstream

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"millrace/plugin"
)

// pointsPerWeight is how many points of the ring a node has for each unit of its
// weight, maxPoints bounds the ring for weights without a common divisor.
const (
	pointsPerWeight = 160
	maxPoints       = 1 << 20
)

// cHash sends requests with the same key to the same node, by APISIX's ring: a
// key belongs to the first point that is not below its hash. Nodes that are not
// well stay on the ring and are skipped, so that only their keys move.
type cHash struct {
	key    *hashKey
	points []ringPoint
	// starts is where the points begin that are not below each multiple of
	// 1<<shift.
	starts []int32
	shift  int
	nodes  []*Node
	usable []bool
}

// ringPoint is a point of the ring and the node it belongs to.
type ringPoint struct {
	hash uint32
	node int32
}

func newCHash(key *hashKey, group, usable []*Node) Balancer {
	b := &cHash{key: key, nodes: weighted(group)}
	some := false
	for _, n := range b.nodes {
		may := slices.Contains(usable, n)
		b.usable, some = append(b.usable, may), some || may
	}
	if !some { // those that are well have weight 0
		return newCHash(key, usable, usable)
	}
	b.place(maxPoints)
	return b
}

// place makes the ring, of about limit points at most.
func (b *cHash) place(limit int) {
	divisor, total := 0, 0
	for _, n := range b.nodes {
		divisor = gcd(divisor, n.weight())
		total += n.weight()
	}
	each := func(n *Node) int { return pointsPerWeight * (n.weight() / divisor) }
	if total/divisor > limit/pointsPerWeight {
		each = func(n *Node) int { return max(1, int(float64(n.weight())/float64(total)*float64(limit))) }
	}
	for i, n := range b.nodes {
		base := crc32.ChecksumIEEE([]byte(strings.ReplaceAll(n.Addr, ":", "\x00")))
		var previous [4]byte
		for range each(n) {
			h := crc32.Update(base, crc32.IEEETable, previous[:])
			b.points = append(b.points, ringPoint{h, int32(i)})
			binary.LittleEndian.PutUint32(previous[:], h)
		}
	}
	slices.SortFunc(b.points, func(p, q ringPoint) int {
		return cmp.Or(cmp.Compare(p.hash, q.hash), cmp.Compare(p.node, q.node))
	})
	b.index()
}

// index makes starts, about one for each point.
func (b *cHash) index() {
	width := bits.Len(uint(len(b.points)))
	b.shift = 32 - width
	b.starts = make([]int32, 1<<width)
	at := 0
	for i := range b.starts {
		for at < len(b.points) && b.points[at].hash < uint32(i)<<b.shift {
			at++
		}
		b.starts[i] = int32(at)
	}
}

// Pick implements Balancer.
func (b *cHash) Pick(tried Tried, vars Vars) *Node {
	at := b.find(b.key.hash(vars))
	for range b.points {
		p := b.points[at]
		if n := b.nodes[p.node]; b.usable[p.node] && !tried.Has(n) {
			return n
		}
		if at++; at == len(b.points) {
			at = 0
		}
		if len(tried) > 0 && b.exhausted(tried) {
			break
		}
	}
	return nil
}

// exhausted says that every node has been tried, so that the ring need not be
// walked all around.
func (b *cHash) exhausted(tried Tried) bool {
	for i, n := range b.nodes {
		if b.usable[i] && !tried.Has(n) {
			return false
		}
	}
	return true
}

// find answers the first point not below a hash, or the first of all.
func (b *cHash) find(hash uint32) int {
	i := int(b.starts[hash>>b.shift])
	for i < len(b.points) && b.points[i].hash < hash {
		i++
	}
	if i == len(b.points) {
		return 0
	}
	return i
}

// hashKey is what of a request decides about its node.
type hashKey struct {
	name     string           // of a variable
	template *plugin.Template // of several, under vars_combinations
}

// newHashKey reads hash_on and key.
func newHashKey(hashOn, key string) *hashKey {
	switch hashOn {
	case "header":
		return &hashKey{name: "http_" + strings.ReplaceAll(strings.ToLower(key), "-", "_")}
	case "cookie":
		return &hashKey{name: "cookie_" + key}
	case "consumer":
		return &hashKey{name: "consumer_name"}
	case "vars_combinations":
		return &hashKey{template: plugin.CompileTemplate(key)}
	}
	return &hashKey{name: key}
}

// hash answers the hash of a request's key, that of the client's address if the
// request has no such key.
func (k *hashKey) hash(vars Vars) uint32 {
	if vars == nil {
		return 0
	}
	if k.template != nil {
		if text, present := k.template.Resolve(vars.Var); present > 0 {
			return checksum(text)
		}
	} else if v := vars.Var(k.name); v.Present {
		return checksum(v.Text)
	}
	return checksum(vars.Var("remote_addr").Text)
}

// checksum does without a copy of the text, which would be made for each request.
func checksum(s string) uint32 {
	return crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(s), len(s)))
}
