package plugin

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"millrace/internal/pcre"

	sandbox "millrace/internal/lua"
)

// requestFunctions are those of ngx.req.
var requestFunctions = map[string]luaFunc{
	"get_method": func(s *sandbox.State) int {
		call := callOf(s)
		if own := call.c.UpstreamMethod; own != "" {
			return push(s, own)
		}
		return push(s, call.c.Request.Method())
	},
	"set_method": func(s *sandbox.State) int {
		callOf(s).c.UpstreamMethod = lua.LVAsString(s.Get(1))
		return 0
	},
	"get_headers":  func(s *sandbox.State) int { return pushHeaders(s, callOf(s).c.Request.Headers) },
	"set_header":   func(s *sandbox.State) int { return setHeader(s, callOf(s).c.Request, 1) },
	"clear_header": func(s *sandbox.State) int { callOf(s).c.Request.DelHeader(s.CheckString(1)); return 0 },
	"get_uri_args": func(s *sandbox.State) int { return pushArgs(s, callOf(s).query()) },
	"set_uri_args": func(s *sandbox.State) int { callOf(s).setQuery(argsText(s, 1)); return 0 },
	"set_uri":      func(s *sandbox.State) int { callOf(s).setPath(s.CheckString(1)); return 0 },
	"read_body":    func(s *sandbox.State) int { callOf(s).requestBody(s); return 0 },
	"discard_body": func(*sandbox.State) int { return 0 },
	"get_body_data": func(s *sandbox.State) int {
		body := callOf(s).requestBody(s)
		if len(body) == 0 {
			return pushNil(s)
		}
		return push(s, body)
	},
	"set_body_data": func(s *sandbox.State) int {
		callOf(s).c.Request.SetBody([]byte(s.CheckString(1)))
		return 0
	},
	"get_post_args": func(s *sandbox.State) int { return pushArgs(s, string(callOf(s).requestBody(s))) },
	"http_version":  func(s *sandbox.State) int { return push(s, httpVersion(callOf(s).c.Conn.Proto)) },
	"start_time":    func(s *sandbox.State) int { return push(s, float64(callOf(s).c.Started.UnixMilli())/1000) },
	"is_internal":   func(s *sandbox.State) int { return push(s, false) },
}

func httpVersion(proto string) any {
	switch proto {
	case "HTTP/1.0":
		return 1.0
	case "HTTP/2.0":
		return 2.0
	case "HTTP/3.0":
		return 3.0
	}
	return 1.1
}

// headers is what requests and answers have in common.
type headers interface {
	Header(name string) []byte
	SetHeader(name, value string)
	AddHeader(name, value string)
	DelHeader(name string)
}

// setHeader sets a header to the value or values at the stack's next place; nil
// deletes it.
func setHeader(s *sandbox.State, h headers, at int) int {
	setHeaderValue(h, strings.ReplaceAll(s.CheckString(at), "_", "-"), s.Get(at+1))
	return 0
}

func setHeaderValue(h headers, name string, v lua.LValue) {
	h.DelHeader(name)
	if list, ok := v.(*lua.LTable); ok {
		list.ForEach(func(_, item lua.LValue) { h.AddHeader(name, lua.LVAsString(item)) })
		return
	}
	if v != lua.LNil {
		h.SetHeader(name, lua.LVAsString(v))
	}
}

// pushHeaders pushes headers as a table by names in lower case, which answers for
// names in any case.
func pushHeaders(s *sandbox.State, each func(fn func(name, value []byte) bool)) int {
	t := s.NewTable()
	each(func(name, value []byte) bool {
		key, v := strings.ToLower(string(name)), lua.LString(value)
		switch old := t.RawGetString(key).(type) {
		case *lua.LNilType:
			t.RawSetString(key, v)
		case *lua.LTable:
			old.Append(v)
		default:
			list := s.NewTable()
			list.Append(old)
			list.Append(v)
			t.RawSetString(key, list)
		}
		return true
	})
	meta := s.NewTable()
	meta.RawSetString("__index", s.Register(func(s *sandbox.State) int {
		key := strings.ReplaceAll(strings.ToLower(lua.LVAsString(s.Get(2))), "_", "-")
		s.Push(s.CheckTable(1).RawGetString(key))
		return 1
	}))
	t.Metatable = meta
	s.Push(t)
	return 1
}

func getResponseHeader(s *sandbox.State, name string) lua.LValue {
	if v := callOf(s).c.Response.Header(strings.ReplaceAll(name, "_", "-")); v != nil {
		return lua.LString(v)
	}
	return lua.LNil
}

func setResponseHeader(s *sandbox.State, name string, v lua.LValue) {
	setHeaderValue(callOf(s).c.Response, strings.ReplaceAll(name, "_", "-"), v)
}

// target answers the path and query that the upstream will see.
func (call *functionCall) target() (path, query string) {
	target := call.c.UpstreamTarget
	if target == "" {
		target = call.c.Request.Target()
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query
}

func (call *functionCall) query() string {
	_, query := call.target()
	return query
}

func (call *functionCall) setQuery(query string) {
	path, _ := call.target()
	call.c.UpstreamTarget = withQuery(path, query)
}

func (call *functionCall) setPath(path string) {
	_, query := call.target()
	call.c.UpstreamTarget = withQuery(path, query)
}

// requestBody reads the body.
func (call *functionCall) requestBody(s *sandbox.State) []byte {
	body, err := call.c.Request.Body(maxFunctionBody)
	if err != nil {
		s.RaiseError("reading the request's body: %s", err.Error())
	}
	return body
}

// argsText answers a query that is given as text or as a table.
func argsText(s *sandbox.State, at int) string {
	if t, ok := s.Get(at).(*lua.LTable); ok {
		return encodeArgs(t)
	}
	return s.CheckString(at)
}

// patternFunctions are those of ngx.re.
var patternFunctions = map[string]luaFunc{
	"match": func(s *sandbox.State) int {
		subject, p, from := searchArgs(s)
		found := search(s, p, subject, from, 1)
		if len(found) == 0 {
			return pushNil(s)
		}
		s.Push(groupsTable(s, p, subject, found[0]))
		return 1
	},
	"find": func(s *sandbox.State) int {
		subject, p, from := searchArgs(s)
		found := search(s, p, subject, from, 1)
		if len(found) == 0 {
			return pushNil(s)
		}
		push(s, found[0][0]+1)
		return 1 + push(s, found[0][1])
	},
	"gmatch": func(s *sandbox.State) int {
		subject, p, from := searchArgs(s)
		found := search(s, p, subject, from, 1000)
		s.Push(s.Register(func(s *sandbox.State) int {
			if len(found) == 0 {
				return pushNil(s)
			}
			s.Push(groupsTable(s, p, subject, found[0]))
			found = found[1:]
			return 1
		}))
		return 1
	},
	"sub":  func(s *sandbox.State) int { return substitute(s, 1) },
	"gsub": func(s *sandbox.State) int { return substitute(s, -1) },
}

// searchArgs reads (subject, pattern, options, ctx).
func searchArgs(s *sandbox.State) (subject string, p *pcre.Pattern, from int) {
	p, err := pcre.CompileOptions(s.CheckString(2), s.OptString(3, ""))
	if err != nil {
		s.RaiseError("%s", err.Error())
	}
	if ctx, ok := s.Get(4).(*lua.LTable); ok {
		from = max(0, int(lua.LVAsNumber(ctx.RawGetString("pos")))-1)
	}
	subject = s.CheckString(1)
	return subject, p, min(from, len(subject))
}

// search finds up to n matches; what takes too long finds nothing.
func search(s *sandbox.State, p *pcre.Pattern, subject string, from, n int) [][]int {
	found, err := p.FindAll(subject[from:], n)
	if err != nil {
		s.RaiseError("%s", err.Error())
	}
	for _, match := range found {
		for i := range match {
			if match[i] >= 0 {
				match[i] += from
			}
		}
	}
	return found
}

// groupsTable is what ngx.re.match answers: the match at 0, groups by number and
// name, false for one that took no part.
func groupsTable(s *sandbox.State, p *pcre.Pattern, subject string, match []int) *lua.LTable {
	t, names := s.NewTable(), p.Names()
	for i := range len(match) / 2 {
		var v lua.LValue = lua.LFalse
		if text, ok := pcre.Submatch(subject, match, i); ok {
			v = lua.LString(text)
		}
		t.RawSetInt(i, v)
		if i < len(names) && names[i] != "" {
			t.RawSetString(names[i], v)
		}
	}
	return t
}

// substitute is ngx.re.sub and gsub.
func substitute(s *sandbox.State, n int) int {
	p, err := pcre.CompileOptions(s.CheckString(2), s.OptString(4, ""))
	if err != nil {
		s.RaiseError("%s", err.Error())
	}
	subject := s.CheckString(1)
	fn, ok := s.Get(3).(*lua.LFunction)
	if !ok {
		text, count, err := p.Replace(subject, s.CheckString(3), n)
		if err != nil || len(text) > sandbox.MaxString {
			s.RaiseError("replacing takes too long or too much")
		}
		push(s, text)
		return 1 + push(s, count)
	}
	var b strings.Builder
	end, found := 0, search(s, p, subject, 0, n)
	for _, match := range found {
		b.WriteString(subject[end:match[0]])
		s.Push(fn)
		s.Push(groupsTable(s, p, subject, match))
		s.Call(1, 1)
		b.WriteString(lua.LVAsString(s.Get(-1)))
		s.Pop(1)
		if end = match[1]; b.Len() > sandbox.MaxString {
			s.RaiseError("string is too long")
		}
	}
	b.WriteString(subject[end:])
	push(s, b.String())
	return 1 + push(s, len(found))
}
