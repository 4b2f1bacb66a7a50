package snippet

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"math/bits"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
)

// hashes are the modules resty.NAME that sum up texts.
var hashes = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha": sha1.New, "sha224": sha256.New224, "sha256": sha256.New,
	"sha384": sha512.New384, "sha512": sha512.New,
}

// restyModule answers a module of OpenResty's, nil if it is not here.
func restyModule(s *sandbox.State, name string) lua.LValue {
	part, ok := strings.CutPrefix(name, "resty.")
	if !ok {
		return nil
	}
	if sum := hashes[part]; sum != nil {
		return library(s, map[string]luaFunc{"new": func(s *sandbox.State) int { return pushHash(s, sum()) }}, nil)
	}
	switch part {
	case "string":
		return library(s, restyString, nil)
	case "random":
		return library(s, restyRandom, nil)
	case "hmac":
		return library(s, restyHMAC, hmacField)
	case "cookie":
		return library(s, map[string]luaFunc{"new": newCookies}, nil)
	}
	return nil
}

var restyString = map[string]luaFunc{
	"to_hex": func(s *sandbox.State) int { return push(s, hex.EncodeToString([]byte(textArg(s, 1)))) },
	"atoi":   func(s *sandbox.State) int { n, _ := strconv.Atoi(textArg(s, 1)); return push(s, n) },
}

// maxRandom is how many bytes resty.random makes at once.
const maxRandom = 1 << 16

var restyRandom = map[string]luaFunc{
	"bytes": func(s *sandbox.State) int {
		n := s.CheckInt(1)
		if n < 0 || n > maxRandom {
			return pushNil(s)
		}
		b := make([]byte, n)
		_, _ = rand.Read(b) // never fails
		return push(s, b)
	},
	"number": func(s *sandbox.State) int {
		var b [6]byte
		_, _ = rand.Read(b[:])
		n, low := 0.0, float64(s.CheckNumber(1))
		for _, c := range b {
			n = n*256 + float64(c)
		}
		return push(s, low+float64(int64(n)%int64(max(1, float64(s.CheckNumber(2))-low+1))))
	},
}

// pushHash pushes an object with the methods update, final and reset.
func pushHash(s *sandbox.State, h hash.Hash) int {
	t := s.NewTable()
	setAll(s, t, map[string]luaFunc{
		"update": func(s *sandbox.State) int { h.Write([]byte(textArg(s, 2))); return push(s, true) },
		"reset":  func(s *sandbox.State) int { h.Reset(); return push(s, true) },
		// final takes (self, last part, whether in hexadecimal), the two being those of
		// resty.hmac.
		"final": func(s *sandbox.State) int {
			h.Write([]byte(textArg(s, 2)))
			sum := h.Sum(nil)
			if lua.LVAsBool(s.Get(3)) {
				return push(s, hex.EncodeToString(sum))
			}
			return push(s, sum)
		},
	})
	s.Push(t)
	return 1
}

// setAll enters functions in a table.
func setAll(s *sandbox.State, t *lua.LTable, functions map[string]luaFunc) {
	for name, fn := range functions {
		t.RawSetString(name, s.Register(fn))
	}
}

// restyHMAC is resty.hmac: new takes (self, key, algorithm).
var restyHMAC = map[string]luaFunc{
	"new": func(s *sandbox.State) int {
		name := "md5"
		if s.GetTop() > 2 {
			name = textArg(s, 3)
		}
		sum := hashes[name]
		if sum == nil {
			return pushNil(s)
		}
		return pushHash(s, hmac.New(sum, []byte(textArg(s, 2))))
	},
}

func hmacField(s *sandbox.State, name string) lua.LValue {
	if name != "ALGOS" {
		return nil
	}
	t := s.NewTable()
	for _, algorithm := range []string{"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} {
		t.RawSetString(strings.ToUpper(algorithm), lua.LString(algorithm))
	}
	return t
}

// newCookies is resty.cookie's new: get, get_all and set.
func newCookies(s *sandbox.State) int {
	t := s.NewTable()
	setAll(s, t, map[string]luaFunc{
		"get": func(s *sandbox.State) int {
			v := callOf(s).c.Var("cookie_" + s.CheckString(2))
			if !v.Present {
				pushNil(s)
				return 1 + push(s, "no cookie found in the current request")
			}
			return push(s, v.Text)
		},
		"get_all": func(s *sandbox.State) int {
			all := s.NewTable()
			for part := range strings.SplitSeq(string(callOf(s).c.Request.Header("Cookie")), ";") {
				if name, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok {
					all.RawSetString(name, lua.LString(value))
				}
			}
			s.Push(all)
			return 1
		},
		"set": func(s *sandbox.State) int {
			callOf(s).c.Response.AddHeader("Set-Cookie", cookieText(s.CheckTable(2)))
			return push(s, true)
		},
	})
	s.Push(t)
	return 1
}

// cookieText writes a cookie that is given as a table.
func cookieText(t *lua.LTable) string {
	field := func(name string) string { return lua.LVAsString(t.RawGetString(name)) }
	text := field("key") + "=" + field("value")
	for _, attribute := range []struct{ name, as string }{
		{"expires", "Expires"}, {"max_age", "Max-Age"}, {"domain", "Domain"}, {"path", "Path"}, {"samesite", "SameSite"}, {"extension", ""},
	} {
		switch value := field(attribute.name); {
		case value == "":
		case attribute.as == "":
			text += "; " + value
		default:
			text += "; " + attribute.as + "=" + value
		}
	}
	for _, flag := range []struct{ name, as string }{{"secure", "Secure"}, {"httponly", "HttpOnly"}} {
		if lua.LVAsBool(t.RawGetString(flag.name)) {
			text += "; " + flag.as
		}
	}
	return text
}

// base64Module are the functions of ngx.base64.
var base64Module = map[string]luaFunc{
	"encode_base64url": func(s *sandbox.State) int {
		return push(s, base64.RawURLEncoding.EncodeToString([]byte(textArg(s, 1))))
	},
	"decode_base64url": func(s *sandbox.State) int {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(textArg(s, 1), "="))
		if err != nil {
			pushNil(s)
			return 1 + push(s, "invalid input")
		}
		return push(s, b)
	},
}

// bitModule are LuaJIT's operations on the bits of 32-bit numbers.
var bitModule = map[string]luaFunc{
	"tobit":   func(s *sandbox.State) int { return pushBits(s, bitsOf(s, 1)) },
	"bnot":    func(s *sandbox.State) int { return pushBits(s, ^bitsOf(s, 1)) },
	"band":    foldBits(func(a, b uint32) uint32 { return a & b }),
	"bor":     foldBits(func(a, b uint32) uint32 { return a | b }),
	"bxor":    foldBits(func(a, b uint32) uint32 { return a ^ b }),
	"lshift":  func(s *sandbox.State) int { return pushBits(s, bitsOf(s, 1)<<(bitsOf(s, 2)&31)) },
	"rshift":  func(s *sandbox.State) int { return pushBits(s, bitsOf(s, 1)>>(bitsOf(s, 2)&31)) },
	"arshift": func(s *sandbox.State) int { return pushBits(s, uint32(int32(bitsOf(s, 1))>>(bitsOf(s, 2)&31))) },
	"rol":     func(s *sandbox.State) int { return pushBits(s, bits.RotateLeft32(bitsOf(s, 1), int(bitsOf(s, 2)&31))) },
	"ror":     func(s *sandbox.State) int { return pushBits(s, bits.RotateLeft32(bitsOf(s, 1), -int(bitsOf(s, 2)&31))) },
	"bswap":   func(s *sandbox.State) int { return pushBits(s, bits.ReverseBytes32(bitsOf(s, 1))) },
	"tohex":   func(s *sandbox.State) int { return push(s, fmt.Sprintf("%08x", bitsOf(s, 1))) },
}

func bitsOf(s *sandbox.State, at int) uint32 { return uint32(int64(s.CheckNumber(at))) }

func pushBits(s *sandbox.State, n uint32) int { return push(s, float64(int32(n))) }

func foldBits(op func(a, b uint32) uint32) luaFunc {
	return func(s *sandbox.State) int {
		n := bitsOf(s, 1)
		for i := 2; i <= s.GetTop(); i++ {
			n = op(n, bitsOf(s, i))
		}
		return pushBits(s, n)
	}
}
