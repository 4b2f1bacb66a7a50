package plugins

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"time"

	"millrace/plugin"
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789"

	requestIDSchema = `{"type":"object",
	"properties":{
		"header_name":{"type":"string","default":"X-Request-Id"},
		"include_in_response":{"type":"boolean","default":true},
		"algorithm":{"type":"string","enum":["uuid","nanoid","range_id","ksuid","uuidv7"],"default":"uuid"},
		"range_id":{"type":"object","default":{},"properties":{
			"length":{"type":"integer","minimum":6,"default":16},
			"char_set":{"type":"string","minLength":6,"default":"` + letters + `"}}}
	}}`

	nanoidLetters = "_-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// ksuidEpoch is what the seconds of a ksuid count from.
	ksuidEpoch = 1400000000
)

func init() { plugin.Register[requestID]("request-id", 12015, requestIDSchema) }

// requestID names each request in a header, unless the client has named it.
type requestID struct {
	HeaderName        string `json:"header_name"`
	IncludeInResponse bool   `json:"include_in_response"`
	Algorithm         string `json:"algorithm"`
	RangeID           struct {
		Length  int    `json:"length"`
		CharSet string `json:"char_set"`
	} `json:"range_id"`
}

var (
	_ plugin.Rewriter     = (*requestID)(nil)
	_ plugin.HeaderFilter = (*requestID)(nil)
)

// Rewrite sets the header for the upstream. The name is noted, since another
// plugin may change the header.
func (p *requestID) Rewrite(c *plugin.Context) error {
	id := string(c.Request.Header(p.HeaderName))
	if id == "" {
		id = p.generate()
		c.Request.SetHeader(p.HeaderName, id)
	}
	c.SetVar("apisix_request_id", id)
	if p.IncludeInResponse {
		c.SetValue(p, id)
	}
	return nil
}

// FilterHeader tells the client, unless the upstream has done so.
func (p *requestID) FilterHeader(c *plugin.Context) {
	id, ok := c.Value(p).(string)
	if ok && c.Response.Header(p.HeaderName) == nil {
		c.Response.SetHeader(p.HeaderName, id)
	}
}

func (p *requestID) generate() string {
	switch p.Algorithm {
	case "nanoid":
		return randomText(21, nanoidLetters)
	case "range_id":
		return randomText(p.RangeID.Length, p.RangeID.CharSet)
	case "ksuid":
		return ksuid(time.Now())
	case "uuidv7":
		return uuid7(time.Now())
	}
	return uuid4()
}

func uuid4() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return formatUUID(&b, 4)
}

// uuid7 begins with the time in milliseconds, so that names sort by it.
func uuid7(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:])
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	return formatUUID(&b, 7)
}

func formatUUID(b *[16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:], b[:4])
	for i, at := range [4]int{9, 14, 19, 24} {
		text[at-1] = '-'
		end := 6 + 2*i
		if i == 3 {
			end = 16
		}
		hex.Encode(text[at:], b[4+2*i:end])
	}
	return string(text[:])
}

// randomText draws length characters of charset, all equally likely.
func randomText(length int, charset string) string {
	n := len(charset)
	out := make([]byte, 0, length)
	var room [64]byte
	for len(out) < length {
		_, _ = rand.Read(room[:])
		for _, b := range room {
			// Bytes past the last whole run of the charset would favour its start.
			if len(out) < length && (n > 256 || int(b) < 256-256%n) {
				out = append(out, charset[int(b)%n])
			}
		}
	}
	return string(out)
}

// ksuid is 27 digits of base 62: the time in seconds and 16 random bytes.
func ksuid(now time.Time) string {
	var b [20]byte
	_, _ = rand.Read(b[4:])
	binary.BigEndian.PutUint32(b[:], uint32(now.Unix()-ksuidEpoch))
	var digits [27]byte
	n, base, digit := new(big.Int).SetBytes(b[:]), big.NewInt(62), new(big.Int)
	for i := len(digits) - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		digits[i] = base62[digit.Int64()]
	}
	return string(digits[:])
}
