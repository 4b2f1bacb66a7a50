package invoke

import (
	"encoding/hex"
	"math/rand/v2"
)

// NewID makes an activation id: a version 4 UUID as 32 lower-case hex digits.
func NewID() string {
	var raw [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var text [32]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}
