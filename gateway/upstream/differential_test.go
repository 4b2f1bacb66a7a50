package upstream

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// crc32Update is the step of CRC-32, bit by bit: neither inverted before nor after.
func crc32Update(crc uint32, text []byte) uint32 {
	for _, b := range text {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ 0xedb88320*(crc&1)
		}
	}
	return crc
}

// plainRing is the ring of lua-resty-chash written down as spec/gateway.md §7.6 has it,
// with nothing but a list: in which order a key is tried at the nodes.
func plainRing(addrs []string, weights []int, key string) string {
	type point struct {
		hash uint32
		node int
	}
	divisor := 0
	for _, w := range weights {
		divisor = gcd(divisor, w)
	}
	var points []point
	for i, addr := range addrs {
		id := []byte(strings.ReplaceAll(addr, ":", "\x00"))
		base := ^crc32Update(^uint32(0), id) ^ 0xffffffff
		previous := uint32(0)
		for range 160 * weights[i] / divisor {
			four := []byte{byte(previous), byte(previous >> 8), byte(previous >> 16), byte(previous >> 24)}
			previous = crc32Update(base, four) ^ 0xffffffff
			points = append(points, point{previous, i})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	hash := ^crc32Update(^uint32(0), []byte(key))
	first := slices.IndexFunc(points, func(p point) bool { return p.hash >= hash })
	var order []string
	for i := range points {
		addr := addrs[points[(max(first, 0)+i)%len(points)].node]
		if !slices.Contains(order, addr) {
			order = append(order, addr)
		}
	}
	return strings.Join(order, " ")
}

// randomNodes are nodes as a route has them, with weights that often have a divisor.
func randomNodes(r *rand.Rand) (conf string, addrs []string, weights []int) {
	unit := 1 + r.IntN(4)
	var nodes []string
	for i := range 2 + r.IntN(4) {
		addr := fmt.Sprintf("10.0.%d.%d:%d", i, r.IntN(256), 1+r.IntN(65535))
		weight := unit * (1 + r.IntN(5))
		addrs, weights = append(addrs, addr), append(weights, weight)
		host, port, _ := strings.Cut(addr, ":")
		nodes = append(nodes, fmt.Sprintf(`{"host":%q,"port":%s,"weight":%d}`, host, port, weight))
	}
	return "[" + strings.Join(nodes, ",") + "]", addrs, weights
}

// A key goes to the nodes in the order of the ring, whatever nodes and keys there are.
func TestRingAgainstThePlainOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		conf, addrs, weights := randomNodes(r)
		u := compile(t, `{"type":"chash","key":"uri","nodes":`+conf+`}`)
		for range 25 {
			key := fmt.Sprintf("/%d/%x", r.IntN(1000), r.Uint64())
			if got, want := order(u, values{"uri": key}), plainRing(addrs, weights, key); got != want {
				t.Fatalf("%s, key %s: %s, want %s", conf, key, got, want)
			}
		}
	}
}

// plainRoundRobin is the walk of lua-resty-roundrobin, step by step: it begins behind
// the node last, and passes over those below the weight of the moment.
func plainRoundRobin(weights []int, last, picks int) []int {
	divisor, most := 0, 0
	for _, w := range weights {
		divisor, most = gcd(divisor, w), max(most, w)
	}
	var picked []int
	for current := most; len(picked) < picks; {
		for last++; last < len(weights) && weights[last] < current; last++ {
		}
		if last < len(weights) {
			picked = append(picked, last)
			continue
		}
		last = -1
		if current -= divisor; current <= 0 {
			current = most
		}
	}
	return picked
}

// Requests go round as there, from whichever node the round begins at.
func TestRoundRobinAgainstThePlainOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		conf, _, weights := randomNodes(r)
		u := compile(t, `{"nodes":`+conf+`}`)
		for last := range weights {
			b := newRoundRobinAfter(u.nodes, last)
			for i, want := range plainRoundRobin(weights, last, 100) {
				if got := slices.Index(u.nodes, b.Pick(nil, nil)); got != want {
					t.Fatalf("%s behind node %d: pick %d is node %d, want %d", conf, last, i, got, want)
				}
			}
		}
	}
}
