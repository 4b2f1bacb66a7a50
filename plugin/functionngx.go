package plugin

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"hash/crc32"
	"log/slog"
	"net/url"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
)

// maxFunctionBody bounds the request bodies that functions read.
const maxFunctionBody = 4 << 20

// ngxConstants are the numbers that ngx names.
var ngxConstants = map[string]int{
	"OK": 0, "ERROR": -1, "AGAIN": -2, "DONE": -4, "DECLINED": -5,
	"STDERR": 0, "EMERG": 1, "ALERT": 2, "CRIT": 3, "ERR": 4, "WARN": 5, "NOTICE": 6, "INFO": 7, "DEBUG": 8,
	"HTTP_CONTINUE": 100, "HTTP_OK": 200, "HTTP_CREATED": 201, "HTTP_ACCEPTED": 202, "HTTP_NO_CONTENT": 204,
	"HTTP_PARTIAL_CONTENT": 206, "HTTP_SPECIAL_RESPONSE": 300, "HTTP_MOVED_PERMANENTLY": 301, "HTTP_MOVED_TEMPORARILY": 302,
	"HTTP_SEE_OTHER": 303, "HTTP_NOT_MODIFIED": 304, "HTTP_TEMPORARY_REDIRECT": 307, "HTTP_PERMANENT_REDIRECT": 308,
	"HTTP_BAD_REQUEST": 400, "HTTP_UNAUTHORIZED": 401, "HTTP_PAYMENT_REQUIRED": 402, "HTTP_FORBIDDEN": 403,
	"HTTP_NOT_FOUND": 404, "HTTP_NOT_ALLOWED": 405, "HTTP_NOT_ACCEPTABLE": 406, "HTTP_REQUEST_TIMEOUT": 408,
	"HTTP_CONFLICT": 409, "HTTP_GONE": 410, "HTTP_UPGRADE_REQUIRED": 426, "HTTP_TOO_MANY_REQUESTS": 429,
	"HTTP_CLOSE": 444, "HTTP_ILLEGAL": 451, "HTTP_INTERNAL_SERVER_ERROR": 500, "HTTP_NOT_IMPLEMENTED": 501,
	"HTTP_METHOD_NOT_IMPLEMENTED": 501, "HTTP_BAD_GATEWAY": 502, "HTTP_SERVICE_UNAVAILABLE": 503, "HTTP_GATEWAY_TIMEOUT": 504,
	"HTTP_VERSION_NOT_SUPPORTED": 505, "HTTP_INSUFFICIENT_STORAGE": 507,
}

type luaFunc = func(s *sandbox.State) int

// setAll enters functions in a table.
func setAll(s *sandbox.State, t *lua.LTable, functions map[string]luaFunc) {
	for name, fn := range functions {
		t.RawSetString(name, s.Register(fn))
	}
}

// openNgx enters ngx.
func openNgx(s *sandbox.State) {
	ngx := s.NewTable()
	for name, n := range ngxConstants {
		ngx.RawSetString(name, lua.LNumber(n))
	}
	for _, m := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
		ngx.RawSetString("HTTP_"+m, lua.LString(m))
	}
	ngx.RawSetString("null", s.Null())
	ngx.RawSetString("var", s.Variables(getVar, setVar))
	ngx.RawSetString("ctx", sharedTable(s, "ngx", nil))
	ngx.RawSetString("header", s.Variables(getResponseHeader, setResponseHeader))
	setAll(s, ngx, map[string]luaFunc{
		"say": say("\n"), "print": say(""), "log": ngxLog, "exit": ngxExit, "redirect": ngxRedirect,
		"get_phase": func(s *sandbox.State) int { return push(s, string(callOf(s).phase)) },
		"now":       func(s *sandbox.State) int { return push(s, float64(time.Now().UnixMilli())/1000) },
		"time":      func(s *sandbox.State) int { return push(s, time.Now().Unix()) },
		"today":     clock(time.DateOnly, false), "localtime": clock(time.DateTime, false), "utctime": clock(time.DateTime, true),
		"update_time": func(*sandbox.State) int { return 0 }, "flush": func(*sandbox.State) int { return 0 },
		"http_time": func(s *sandbox.State) int {
			return push(s, time.Unix(int64(s.CheckNumber(1)), 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		},
	})
	setAll(s, ngx, codecs)
	req := s.NewTable()
	setAll(s, req, requestFunctions)
	ngx.RawSetString("req", req)
	re := s.NewTable()
	setAll(s, re, patternFunctions)
	ngx.RawSetString("re", re)
	openStatus(s, ngx)
	s.SetGlobal("ngx", ngx)
}

// push pushes one value and answers how many it has pushed.
func push(s *sandbox.State, v any) int {
	s.Push(s.Value(v))
	return 1
}

func pushNil(s *sandbox.State) int {
	s.Push(lua.LNil)
	return 1
}

// openStatus makes ngx.status and ngx.arg, which are assigned to like variables.
func openStatus(s *sandbox.State, ngx *lua.LTable) {
	meta := s.NewTable()
	meta.RawSetString("__index", s.Register(func(s *sandbox.State) int {
		if s.CheckString(2) == "status" {
			return push(s, callOf(s).c.Response.Status())
		}
		return pushNil(s)
	}))
	meta.RawSetString("__newindex", s.Register(func(s *sandbox.State) int {
		if s.CheckString(2) != "status" {
			s.RaiseError("attempt to write to undeclared variable")
		}
		callOf(s).c.Response.SetStatus(s.CheckInt(3))
		return 0
	}))
	ngx.Metatable = meta
	arg := s.NewTable()
	argMeta := s.NewTable()
	argMeta.RawSetString("__index", s.Register(func(s *sandbox.State) int {
		switch call := callOf(s); s.CheckInt(2) {
		case 1:
			return push(s, string(call.body))
		case 2:
			return push(s, call.last)
		}
		return pushNil(s)
	}))
	argMeta.RawSetString("__newindex", s.Register(func(s *sandbox.State) int {
		if s.CheckInt(2) == 1 {
			callOf(s).body = []byte(lua.LVAsString(s.Get(3)))
		}
		return 0
	}))
	arg.Metatable = argMeta
	ngx.RawSetString("arg", arg)
}

func getVar(s *sandbox.State, name string) lua.LValue {
	v := callOf(s).c.Var(name)
	if !v.Present {
		return lua.LNil
	}
	return lua.LString(textOf(v))
}

func setVar(s *sandbox.State, name string, v lua.LValue) {
	value := lua.LVAsString(v)
	switch call := callOf(s); name {
	case "upstream_uri":
		call.c.UpstreamTarget = value
	case "upstream_host":
		call.c.UpstreamHost = value
	default:
		call.c.SetVar(name, value)
	}
}

// appendText appends what say and log print of a value.
func appendText(s *sandbox.State, b *strings.Builder, v lua.LValue) {
	if t, ok := v.(*lua.LTable); ok {
		for i := 1; i <= t.Len(); i++ {
			appendText(s, b, t.RawGetInt(i))
		}
		return
	}
	b.WriteString(s.ToStringMeta(v).String())
}

func say(end string) luaFunc {
	return func(s *sandbox.State) int {
		call := callOf(s)
		for i := 1; i <= s.GetTop(); i++ {
			appendText(s, &call.said, s.Get(i))
		}
		call.said.WriteString(end)
		if call.said.Len() > sandbox.MaxString {
			s.RaiseError("answer is too long")
		}
		return 0
	}
}

func ngxLog(s *sandbox.State) int {
	logLine(s, ngxLevel(s.CheckInt(1)), 2)
	return 0
}

func ngxLevel(n int) slog.Level {
	switch {
	case n <= 4:
		return slog.LevelError
	case n == 5:
		return slog.LevelWarn
	case n <= 7:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// logLine logs the arguments from one on.
func logLine(s *sandbox.State, level slog.Level, from int) {
	call := s.Data.(*functionCall)
	var b strings.Builder
	for i := from; i <= s.GetTop() && b.Len() < 2048; i++ {
		appendText(s, &b, s.Get(i))
	}
	call.host.log.Log(context.Background(), level, "a function says", "text", b.String())
}

// dropStatus closes the connection without an answer, as in nginx.
const dropStatus = 444

// end answers the request and ends the call.
func (call *functionCall) end(s *sandbox.State, status int, body any) int {
	switch call.phase {
	case PhaseRewrite, PhaseAccess, PhaseBeforeProxy:
	default:
		s.Raise(errFinished)
	}
	if status == dropStatus {
		s.Raise(ErrDrop)
	}
	_ = call.c.Exit(status, body)
	s.Raise(errExited)
	return 0
}

func ngxExit(s *sandbox.State) int {
	call, status := callOf(s), s.CheckInt(1)
	if call.said.Len() > 0 {
		if status < 200 {
			status = call.statusOr(200)
		}
		return call.end(s, status, call.said.String())
	}
	if status < 200 {
		s.Raise(errFinished)
	}
	return call.end(s, status, nil)
}

func ngxRedirect(s *sandbox.State) int {
	call := callOf(s)
	call.c.Response.SetHeader("Location", s.CheckString(1))
	return call.end(s, s.OptInt(2, 302), nil)
}

func clock(layout string, utc bool) luaFunc {
	return func(s *sandbox.State) int {
		now := time.Now()
		if utc {
			now = now.UTC()
		}
		return push(s, now.Format(layout))
	}
}

// codecs are the functions of ngx that only work on their arguments.
var codecs = map[string]luaFunc{
	"encode_base64": func(s *sandbox.State) int {
		if s.GetTop() > 1 && !lua.LVAsBool(s.Get(2)) {
			return push(s, base64.RawStdEncoding.EncodeToString([]byte(s.CheckString(1))))
		}
		return push(s, base64.StdEncoding.EncodeToString([]byte(s.CheckString(1))))
	},
	"decode_base64": func(s *sandbox.State) int {
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s.CheckString(1), "="))
		if err != nil {
			return pushNil(s)
		}
		return push(s, b)
	},
	"md5": func(s *sandbox.State) int {
		sum := md5.Sum([]byte(s.CheckString(1)))
		return push(s, hex.EncodeToString(sum[:]))
	},
	"md5_bin": func(s *sandbox.State) int {
		sum := md5.Sum([]byte(s.CheckString(1)))
		return push(s, sum[:])
	},
	"sha1_bin": func(s *sandbox.State) int {
		sum := sha1.Sum([]byte(s.CheckString(1)))
		return push(s, sum[:])
	},
	"hmac_sha1": func(s *sandbox.State) int {
		h := hmac.New(sha1.New, []byte(s.CheckString(1)))
		h.Write([]byte(s.CheckString(2)))
		return push(s, h.Sum(nil))
	},
	"crc32_short":  crc32Of,
	"crc32_long":   crc32Of,
	"escape_uri":   func(s *sandbox.State) int { return push(s, escapeComponent(s.CheckString(1))) },
	"unescape_uri": func(s *sandbox.State) int { return push(s, unescape(s.CheckString(1))) },
	"encode_args":  func(s *sandbox.State) int { return push(s, encodeArgs(s.CheckTable(1))) },
	"decode_args":  func(s *sandbox.State) int { return pushArgs(s, s.CheckString(1)) },
	"quote_sql_str": func(s *sandbox.State) int {
		return push(s, "'"+strings.NewReplacer(`\`, `\\`, "'", `\'`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\x1a", `\Z`).Replace(s.CheckString(1))+"'")
	},
}

func crc32Of(s *sandbox.State) int {
	return push(s, int64(crc32.ChecksumIEEE([]byte(s.CheckString(1)))))
}

// escapeComponent escapes as ngx.escape_uri does, a space as %20.
func escapeComponent(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// pushArgs pushes a query as a table: a list where a name has several values, true
// where one has no "=".
func pushArgs(s *sandbox.State, query string) int {
	t := s.NewTable()
	for n := 0; query != "" && n < 100; n++ {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		name, value, has := strings.Cut(pair, "=")
		var v lua.LValue = lua.LTrue
		if has {
			v = lua.LString(unescape(value))
		}
		name = unescape(name)
		switch old := t.RawGetString(name).(type) {
		case *lua.LNilType:
			t.RawSetString(name, v)
		case *lua.LTable:
			old.Append(v)
		default:
			list := s.NewTable()
			list.Append(old)
			list.Append(v)
			t.RawSetString(name, list)
		}
	}
	s.Push(t)
	return 1
}

// encodeArgs is the reverse; names come in the order of the table.
func encodeArgs(t *lua.LTable) string {
	var parts []string
	add := func(name string, v lua.LValue) {
		switch {
		case v == lua.LTrue:
			parts = append(parts, escapeComponent(name))
		case lua.LVCanConvToString(v):
			parts = append(parts, escapeComponent(name)+"="+escapeComponent(lua.LVAsString(v)))
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
	return strings.Join(parts, "&")
}
