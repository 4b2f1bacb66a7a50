package snippet

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/url"
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// codecFunctions are the functions of ngx that only work on their arguments.
var codecFunctions = map[string]luaFunc{
	"encode_base64": func(s *sandbox.State) int {
		if s.GetTop() > 1 && !lua.LVAsBool(s.Get(2)) {
			return push(s, base64.RawStdEncoding.EncodeToString([]byte(textArg(s, 1))))
		}
		return push(s, base64.StdEncoding.EncodeToString([]byte(textArg(s, 1))))
	},
	"decode_base64": func(s *sandbox.State) int {
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(textArg(s, 1), "="))
		if err != nil {
			return pushNil(s)
		}
		return push(s, b)
	},
	"md5": func(s *sandbox.State) int {
		sum := md5.Sum([]byte(textArg(s, 1)))
		return push(s, hex.EncodeToString(sum[:]))
	},
	"md5_bin": func(s *sandbox.State) int {
		sum := md5.Sum([]byte(textArg(s, 1)))
		return push(s, sum[:])
	},
	"sha1_bin": func(s *sandbox.State) int {
		sum := sha1.Sum([]byte(textArg(s, 1)))
		return push(s, sum[:])
	},
	"hmac_sha1": func(s *sandbox.State) int {
		h := hmac.New(sha1.New, []byte(textArg(s, 1)))
		h.Write([]byte(textArg(s, 2)))
		return push(s, h.Sum(nil))
	},
	"crc32_short": crc32Of,
	"crc32_long":  crc32Of,
	"escape_uri": func(s *sandbox.State) int {
		if s.OptInt(2, 2) == 0 {
			return push(s, escapePath(textArg(s, 1)))
		}
		return push(s, escapeComponent(textArg(s, 1)))
	},
	"unescape_uri":      func(s *sandbox.State) int { return push(s, plugin.UnescapeArg(textArg(s, 1))) },
	"encode_args":       func(s *sandbox.State) int { return push(s, encodeArgs(s, s.CheckTable(1))) },
	"decode_args":       func(s *sandbox.State) int { return pushArgs(s, textArg(s, 1), 2) },
	"decode_base64mime": decodeMIME,
	"quote_sql_str": func(s *sandbox.State) int {
		return push(s, "'"+strings.NewReplacer(`\`, `\\`, "'", `\'`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\x1a", `\Z`).Replace(textArg(s, 1))+"'")
	},
}

func crc32Of(s *sandbox.State) int {
	return push(s, int64(crc32.ChecksumIEEE([]byte(textArg(s, 1)))))
}

// escapeComponent escapes as ngx.escape_uri does, a space as %20.
func escapeComponent(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// escapePath escapes what nginx does in the path of a request.
func escapePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ', c >= 0x7f, c == '#', c == '%', c == '?':
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// textArg answers an argument as text, nil as none.
func textArg(s *sandbox.State, at int) string {
	if v := s.Get(at); v != lua.LNil {
		return s.ToStringMeta(v).String()
	}
	return ""
}

func decodeMIME(s *sandbox.State) int {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' || r == '=' {
			return -1
		}
		return r
	}, textArg(s, 1))
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return pushNil(s)
	}
	return push(s, b)
}

// maxArgs is how many parameters are read unless a function says otherwise, and at
// most: 0, which is all of them in nginx, means this here too.
const (
	maxArgs    = 100
	maxAllArgs = 10_000
)

// pushArgs pushes a query as a table: a list where a name has several values, true
// where one has no "=". How many parameters are read may stand at a place of the
// arguments.
func pushArgs(s *sandbox.State, query string, at int) int {
	most := s.OptInt(at, maxArgs)
	if most <= 0 || most > maxAllArgs {
		most = maxAllArgs
	}
	t := s.NewTable()
	for n := 0; query != "" && n < most; n++ {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		name, value, has := strings.Cut(pair, "=")
		var v lua.LValue = lua.LTrue
		if has {
			v = lua.LString(plugin.UnescapeArg(value))
		}
		addValue(s, t, plugin.UnescapeArg(name), v)
	}
	s.Push(t)
	return 1
}

// encodeArgs is the reverse; names come in the order of the table.
func encodeArgs(s *sandbox.State, t *lua.LTable) string {
	var b strings.Builder
	add := func(name string, v lua.LValue) {
		if v != lua.LTrue && !lua.LVCanConvToString(v) {
			return
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escapeComponent(name))
		if v != lua.LTrue {
			b.WriteString("=" + escapeComponent(lua.LVAsString(v)))
		}
		if b.Len() > sandbox.MaxString {
			s.RaiseError("string is too long")
		}
	}
	t.ForEach(func(key, v lua.LValue) {
		list, ok := v.(*lua.LTable)
		if !ok {
			add(lua.LVAsString(key), v)
			return
		}
		list.ForEach(func(_, item lua.LValue) { add(lua.LVAsString(key), item) })
	})
	return b.String()
}
