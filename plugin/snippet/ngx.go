package snippet

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// maxFunctionBody bounds the request bodies that functions read.
const maxFunctionBody = 4 << 20

// maxSleep bounds what one call may sleep altogether.
const maxSleep = 30 * time.Second

// ngxConstants are the numbers that ngx names.
var ngxConstants = map[string]int{
	"OK": 0, "ERROR": -1, "AGAIN": -2, "DONE": -4, "DECLINED": -5,
	"STDERR": 0, "EMERG": 1, "ALERT": 2, "CRIT": 3, "ERR": 4, "WARN": 5, "NOTICE": 6, "INFO": 7, "DEBUG": 8,
	"HTTP_CONTINUE": 100, "HTTP_SWITCHING_PROTOCOLS": 101, "HTTP_OK": 200, "HTTP_CREATED": 201, "HTTP_ACCEPTED": 202, "HTTP_NO_CONTENT": 204,
	"HTTP_PARTIAL_CONTENT": 206, "HTTP_SPECIAL_RESPONSE": 300, "HTTP_MOVED_PERMANENTLY": 301, "HTTP_MOVED_TEMPORARILY": 302,
	"HTTP_SEE_OTHER": 303, "HTTP_NOT_MODIFIED": 304, "HTTP_TEMPORARY_REDIRECT": 307, "HTTP_PERMANENT_REDIRECT": 308,
	"HTTP_BAD_REQUEST": 400, "HTTP_UNAUTHORIZED": 401, "HTTP_PAYMENT_REQUIRED": 402, "HTTP_FORBIDDEN": 403,
	"HTTP_NOT_FOUND": 404, "HTTP_NOT_ALLOWED": 405, "HTTP_NOT_ACCEPTABLE": 406, "HTTP_REQUEST_TIMEOUT": 408,
	"HTTP_CONFLICT": 409, "HTTP_GONE": 410, "HTTP_UPGRADE_REQUIRED": 426, "HTTP_TOO_MANY_REQUESTS": 429,
	"HTTP_CLOSE": 444, "HTTP_ILLEGAL": 451, "HTTP_INTERNAL_SERVER_ERROR": 500, "HTTP_NOT_IMPLEMENTED": 501,
	"HTTP_METHOD_NOT_IMPLEMENTED": 501, "HTTP_BAD_GATEWAY": 502, "HTTP_SERVICE_UNAVAILABLE": 503, "HTTP_GATEWAY_TIMEOUT": 504,
	"HTTP_VERSION_NOT_SUPPORTED": 505, "HTTP_INSUFFICIENT_STORAGE": 507,
}

// ngxMethods are the methods that ngx names, as HTTP_GET and so on.
var ngxMethods = []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE"}

type luaFunc = func(s *sandbox.State) int

// library makes a table of functions, each of which is made when it is first asked
// for; more, unless it is nil, answers what else there is.
func library(s *sandbox.State, functions map[string]luaFunc, more func(s *sandbox.State, name string) lua.LValue) *lua.LTable {
	return s.Lazy(func(s *sandbox.State, name string) (lua.LValue, bool) {
		if fn := functions[name]; fn != nil {
			return s.Register(fn), true
		}
		if more == nil {
			return nil, false
		}
		return more(s, name), true
	})
}

// openNgx enters ngx, whose status is assigned to like a variable.
func openNgx(s *sandbox.State) {
	ngx := s.Lazy(func(s *sandbox.State, name string) (lua.LValue, bool) {
		switch name {
		case "status":
			return lua.LNumber(callOf(s).c.Response.Status()), false
		case "headers_sent":
			return lua.LBool(callOf(s).filters()), false
		}
		if fn := ngxFunctions[name]; fn != nil {
			return s.Register(fn), true
		}
		return ngxField(s, name), true
	})
	ngx.Metatable.(*lua.LTable).RawSetString("__newindex", s.Register(func(s *sandbox.State) int {
		if lua.LVAsString(s.Get(2)) != "status" {
			s.RaiseError("attempt to write to undeclared variable")
		}
		return setStatus(s, 3)
	}))
	s.SetGlobal("ngx", ngx)
}

// ngxField answers what ngx has beside functions.
func ngxField(s *sandbox.State, name string) lua.LValue {
	if n, ok := ngxConstants[name]; ok {
		return lua.LNumber(n)
	}
	if method, ok := strings.CutPrefix(name, "HTTP_"); ok && slices.Contains(ngxMethods, method) {
		return lua.LString(method)
	}
	switch name {
	case "null":
		return s.Null()
	case "var":
		return s.Variables(getVar, setNgxVar)
	case "ctx":
		return keptTable(s, ngxKept, func(s *sandbox.State, field string) lua.LValue {
			if field == "api_ctx" {
				return s.GetGlobal(ctxName)
			}
			return lua.LNil
		})
	case "header":
		return s.Variables(getResponseHeader, setResponseHeader)
	case "arg":
		return argTable(s)
	case "req":
		return library(s, requestFunctions, nil)
	case "resp":
		return library(s, responseFunctions, nil)
	case "re":
		return library(s, patternFunctions, nil)
	case "shared":
		return dictsTable(s)
	case "worker":
		return library(s, workerFunctions, nil)
	case "timer":
		return library(s, timerFunctions, nil)
	case "config":
		return s.Value(map[string]any{"subsystem": "http", "ngx_lua_version": 10026, "nginx_version": 1027001})
	}
	return refusedField(s, name)
}

// refused are functions of ngx that would leave the request, by table.
var refused = map[string][]string{
	"location": {"capture", "capture_multi"},
	"thread":   {"spawn", "wait", "kill"},
	"socket":   {"tcp", "udp", "connect", "stream"},
}

// refusedField answers functions that say that they are not there.
func refusedField(s *sandbox.State, table string) lua.LValue {
	names := refused[table]
	if names == nil {
		return nil
	}
	t := s.NewTable()
	for _, name := range names {
		t.RawSetString(name, s.Register(refuse("ngx."+table+"."+name)))
	}
	return t
}

func refuse(name string) luaFunc {
	return func(s *sandbox.State) int {
		s.RaiseError("%s is not available to functions of configurations", name)
		return 0
	}
}

// ngxFunctions are those of ngx itself.
var ngxFunctions = allOf(outputFunctions, timeFunctions, codecFunctions)

// allOf puts functions into one map.
func allOf(all ...map[string]luaFunc) map[string]luaFunc {
	one := map[string]luaFunc{}
	for _, functions := range all {
		for name, fn := range functions {
			one[name] = fn
		}
	}
	return one
}

// outputFunctions answer and end requests.
var outputFunctions = map[string]luaFunc{
	"say": say("\n"), "print": say(""), "log": ngxLog, "exit": ngxExit, "redirect": ngxRedirect, "sleep": ngxSleep,
	"get_phase":    func(s *sandbox.State) int { return push(s, callOf(s).phaseName()) },
	"flush":        func(s *sandbox.State) int { callOf(s); return push(s, 1) },
	"eof":          func(s *sandbox.State) int { callOf(s).ended = true; return push(s, 1) },
	"send_headers": func(s *sandbox.State) int { callOf(s); return push(s, 1) },
	"exec":         refuse("ngx.exec"),
	"on_abort":     refuseSoftly("ngx.on_abort"),
}

// refuseSoftly answers nil and an error, as functions do that may fail.
func refuseSoftly(name string) luaFunc {
	return func(s *sandbox.State) int {
		pushNil(s)
		return 1 + push(s, name+" is not available to functions of configurations")
	}
}

// timerFunctions: what runs behind the request's back is not there.
var timerFunctions = map[string]luaFunc{
	"at": refuseSoftly("ngx.timer.at"), "every": refuseSoftly("ngx.timer.every"),
	"running_count": func(s *sandbox.State) int { return push(s, 0) },
	"pending_count": func(s *sandbox.State) int { return push(s, 0) },
}

var workerFunctions = map[string]luaFunc{
	"id":      func(s *sandbox.State) int { return push(s, 0) },
	"count":   func(s *sandbox.State) int { return push(s, 1) },
	"pid":     func(s *sandbox.State) int { return push(s, os.Getpid()) },
	"exiting": func(s *sandbox.State) int { return push(s, false) },
}

// push pushes one value and answers how many it has pushed. A text may not be longer
// than others: what encodes makes longer ones of what it has made before.
func push(s *sandbox.State, v any) int {
	switch text := v.(type) {
	case string:
		s.BoundString(len(text))
	case []byte:
		s.BoundString(len(text))
	}
	s.Push(s.Value(v))
	return 1
}

func pushNil(s *sandbox.State) int {
	s.Push(lua.LNil)
	return 1
}

// failSoftly answers nil and an error.
func failSoftly(s *sandbox.State, err error) int {
	pushNil(s)
	return 1 + push(s, err.Error())
}

// appendText appends what say and log print of a value.
func appendText(s *sandbox.State, b *strings.Builder, v lua.LValue) {
	nodes := maxNodes
	appendDeep(s, b, v, &nodes)
}

func appendDeep(s *sandbox.State, b *strings.Builder, v lua.LValue, nodes *int) {
	countNode(s, nodes)
	if t, ok := v.(*lua.LTable); ok && s.GetMetaField(t, "__tostring") == lua.LNil {
		for i := 1; i <= t.Len(); i++ {
			appendDeep(s, b, t.RawGetInt(i), nodes)
		}
		return
	}
	if v == s.Null() {
		b.WriteString("null")
		return
	}
	if b.WriteString(s.ToStringMeta(v).String()); b.Len() > sandbox.MaxString {
		s.RaiseError("string is too long")
	}
}

func say(end string) luaFunc {
	return func(s *sandbox.State) int {
		call := callOf(s)
		call.mayAnswer(s)
		for i := 1; i <= s.GetTop(); i++ {
			appendText(s, &call.said, s.Get(i))
		}
		call.said.WriteString(end)
		call.ended = true
		return push(s, 1)
	}
}

// phaseName is the phase as ngx names it.
func (call *invocation) phaseName() string {
	if call.phase == plugin.PhaseBeforeProxy || call.phase == phaseMatch {
		return string(plugin.PhaseAccess)
	}
	return string(call.phase)
}

// filters tells that the phase cannot answer the request.
func (call *invocation) filters() bool {
	switch call.phase {
	case plugin.PhaseRewrite, plugin.PhaseAccess, plugin.PhaseBeforeProxy:
		return false
	}
	return true
}

// mayAnswer ends the call if its phase cannot answer the request any more.
func (call *invocation) mayAnswer(s *sandbox.State) {
	if call.filters() {
		s.RaiseError("API disabled in the context of %s_by_lua*", call.phaseName())
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
	call := s.Data.(*invocation)
	if !call.host.log.Enabled(context.Background(), level) {
		return
	}
	var b strings.Builder
	for i := from; i <= s.GetTop() && b.Len() < 2048; i++ {
		appendText(s, &b, s.Get(i))
	}
	call.host.log.Log(context.Background(), level, "a function says", "text", b.String())
}

// dropStatus closes the connection without an answer, as in nginx.
const dropStatus = 444

// end answers the request and ends the call.
func (call *invocation) end(s *sandbox.State, status int, body any) int {
	if call.filters() {
		s.Raise(errFinished)
	}
	if status == dropStatus {
		s.Raise(plugin.ErrDrop)
	}
	_ = call.c.Exit(status, body)
	s.Raise(errExited)
	return 0
}

func ngxExit(s *sandbox.State) int {
	call, status := callOf(s), s.CheckInt(1)
	switch {
	case status == ngxConstants["ERROR"]:
		return call.end(s, 500, nil)
	case call.ended && status < 200:
		return call.end(s, call.statusOr(200), call.said.String())
	case call.ended:
		return call.end(s, status, call.said.String())
	case status < 200:
		s.Raise(errFinished)
	}
	return call.end(s, status, nil)
}

func ngxRedirect(s *sandbox.State) int {
	call, status := callOf(s), s.OptInt(2, 302)
	call.mayAnswer(s)
	switch status {
	case 301, 302, 303, 307, 308:
	default:
		s.RaiseError("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed")
	}
	call.c.Response.SetHeader("Location", s.CheckString(1))
	return call.end(s, status, nil)
}

// ngxSleep waits, but not for a client that has gone.
func ngxSleep(s *sandbox.State) int {
	call := callOf(s)
	call.mayAnswer(s)
	d := time.Duration(float64(s.CheckNumber(1)) * float64(time.Second))
	if call.slept += d; d < 0 || call.slept > maxSleep {
		s.RaiseError("a function may sleep for %d seconds", int(maxSleep.Seconds()))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		s.Idle(d)
	case <-call.c.Request.Context().Done():
		s.Raise(plugin.ErrDrop)
	}
	return 0
}
