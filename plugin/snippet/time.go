package snippet

import (
	"net/http"
	"time"

	sandbox "millrace/internal/lua"
)

// timeFunctions are those of ngx that tell and write the time.
var timeFunctions = map[string]luaFunc{
	"now":         func(s *sandbox.State) int { return push(s, float64(time.Now().UnixMilli())/1000) },
	"time":        func(s *sandbox.State) int { return push(s, time.Now().Unix()) },
	"today":       clock(time.DateOnly, false),
	"localtime":   clock(time.DateTime, false),
	"utctime":     clock(time.DateTime, true),
	"update_time": func(*sandbox.State) int { return 0 },
	"http_time": func(s *sandbox.State) int {
		return push(s, time.Unix(int64(s.CheckNumber(1)), 0).UTC().Format(http.TimeFormat))
	},
	"cookie_time": func(s *sandbox.State) int {
		return push(s, time.Unix(int64(s.CheckNumber(1)), 0).UTC().Format("Mon, 02-Jan-06 15:04:05 GMT"))
	},
	"parse_http_time": func(s *sandbox.State) int {
		t, err := http.ParseTime(s.CheckString(1))
		if err != nil {
			return pushNil(s)
		}
		return push(s, t.Unix())
	},
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
