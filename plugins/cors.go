package plugins

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/pcre"
	"millrace/plugin"
)

const (
	originsPattern = `"pattern":"^(\\*|\\*\\*|null|\\w+://[^,]+(,\\w+://[^,]+)*)$"`

	corsSchema = `{"type":"object",
	"properties":{
		"allow_origins":{"type":"string",` + originsPattern + `,"default":"*",
			"description":"you can use '*' to allow all origins when no credentials,'**' to allow forcefully(it will bring some security risks, be carefully),multiple origin use ',' to split. default: *."},
		"allow_methods":{"type":"string","default":"*"},
		"allow_headers":{"type":"string","default":"*"},
		"expose_headers":{"type":"string"},
		"max_age":{"type":"integer","default":5},
		"allow_credential":{"type":"boolean","default":false},
		"allow_origins_by_regex":{"type":"array","items":{"type":"string","minLength":1,"maxLength":4096},"minItems":1,"uniqueItems":true},
		"allow_origins_by_metadata":{"type":"array","items":{"type":"string","minLength":1,"maxLength":4096},"minItems":1,"uniqueItems":true},
		"timing_allow_origins":{"type":"string",` + originsPattern + `},
		"timing_allow_origins_by_regex":{"type":"array","items":{"type":"string","minLength":1,"maxLength":4096},"minItems":1,"uniqueItems":true}
	}}`
	corsMetadataSchema = `{"type":"object",
	"properties":{"allow_origins":{"type":"object","additionalProperties":{"type":"string",` + originsPattern + `}}}}`

	corsAllMethods = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"
)

var errCORSCredential = errors.New("you can not set '*' for other option when 'allow_credential' is true")

func init() {
	plugin.Register[cors]("cors", 4000, corsSchema, plugin.AsMetadata[corsMetadata](corsMetadataSchema))
}

// cors tells browsers which other sites may use the answers, and answers their
// preflight requests.
type cors struct {
	AllowOrigins           string   `json:"allow_origins"`
	AllowMethods           string   `json:"allow_methods"`
	AllowHeaders           string   `json:"allow_headers"`
	ExposeHeaders          string   `json:"expose_headers"`
	MaxAge                 int      `json:"max_age"`
	AllowCredential        bool     `json:"allow_credential"`
	AllowOriginsByRegex    []string `json:"allow_origins_by_regex"`
	AllowOriginsByMetadata []string `json:"allow_origins_by_metadata"`
	TimingAllowOrigins     string   `json:"timing_allow_origins"`
	TimingByRegex          []string `json:"timing_allow_origins_by_regex"`

	regex, timingRegex []*pcre.Pattern
}

// corsMetadata names lists of origins for allow_origins_by_metadata.
type corsMetadata struct {
	AllowOrigins map[string]string `json:"allow_origins"`
}

// originKey is where the request's own Origin is kept, since others may change it.
type originKey struct{}

// corsAllowed is where it is kept that an origin was allowed.
type corsAllowed struct{}

var (
	_ plugin.Checker      = (*cors)(nil)
	_ plugin.Rewriter     = (*cors)(nil)
	_ plugin.HeaderFilter = (*cors)(nil)
)

// Check refuses * beside credentials and patterns that do not compile.
func (p *cors) Check() (err error) {
	if p.AllowCredential && slices.Contains([]string{p.AllowOrigins, p.AllowMethods, p.AllowHeaders, p.ExposeHeaders, p.TimingAllowOrigins}, "*") {
		return errCORSCredential
	}
	if p.regex, err = compilePatterns(p.AllowOriginsByRegex); err != nil {
		return err
	}
	p.timingRegex, err = compilePatterns(p.TimingByRegex)
	return err
}

func compilePatterns(texts []string) (patterns []*pcre.Pattern, err error) {
	for _, text := range texts {
		pattern, err := pcre.Compile(text)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// Rewrite answers OPTIONS before anybody asks who calls.
func (p *cors) Rewrite(c *plugin.Context) error {
	if origin := c.Request.Header("Origin"); origin != nil {
		c.SetValue(originKey{}, string(origin))
	}
	if c.Request.Method() == "OPTIONS" {
		return c.Exit(200, nil)
	}
	return nil
}

// FilterHeader adds the headers for the origin, if it is allowed.
func (p *cors) FilterHeader(c *plugin.Context) {
	origin, _ := c.Value(originKey{}).(string)
	if p.AllowOrigins != "*" {
		c.Response.AddHeader("Vary", "Origin")
	}
	if allowed := p.allowed(c, origin); allowed != "" {
		c.SetValue(corsAllowed{}, true)
		p.setHeaders(c, allowed)
	}
	if timing := p.timing(origin); timing != "" {
		c.Response.SetHeader("Timing-Allow-Origin", timing)
	}
}

// allowed is what Access-Control-Allow-Origin says, "" if the origin is not allowed.
func (p *cors) allowed(c *plugin.Context, origin string) string {
	if p.AllowOriginsByMetadata != nil {
		lists := plugin.MetadataOf[corsMetadata](c, "cors").AllowOrigins
		for _, name := range p.AllowOriginsByMetadata {
			if list := lists[name]; list != "" && fromList(list, origin) != "" {
				return fromList(list, origin)
			}
		}
		if p.AllowOrigins == "*" && p.regex == nil {
			return "" // that is only the default
		}
	}
	if p.regex != nil {
		return fromPatterns(p.regex, origin)
	}
	return fromList(p.AllowOrigins, origin)
}

func (p *cors) timing(origin string) string {
	if p.timingRegex != nil {
		return fromPatterns(p.timingRegex, origin)
	}
	return fromList(p.TimingAllowOrigins, origin)
}

// fromList answers what a list of origins allows an origin: * for all, itself, or
// nothing.
func fromList(list, origin string) string {
	switch list {
	case "*":
		return "*"
	case "**":
		if origin == "" {
			return "*"
		}
		return origin
	}
	for one := range strings.SplitSeq(list, ",") {
		if one == origin {
			return origin
		}
	}
	return ""
}

func fromPatterns(patterns []*pcre.Pattern, origin string) string {
	if origin != "" && slices.ContainsFunc(patterns, func(re *pcre.Pattern) bool { return re.MatchString(origin) }) {
		return origin
	}
	return ""
}

func (p *cors) setHeaders(c *plugin.Context, origin string) {
	r := c.Response
	methods, headers := p.AllowMethods, p.AllowHeaders
	if methods == "**" {
		methods = corsAllMethods
	}
	if headers == "**" {
		headers = string(c.Request.Header("Access-Control-Request-Headers"))
	}
	r.SetHeader("Access-Control-Allow-Origin", origin)
	r.SetHeader("Access-Control-Allow-Methods", methods)
	r.SetHeader("Access-Control-Max-Age", strconv.Itoa(p.MaxAge))
	if p.ExposeHeaders != "" {
		r.SetHeader("Access-Control-Expose-Headers", p.ExposeHeaders)
	}
	if headers == "" {
		r.DelHeader("Access-Control-Allow-Headers")
	} else {
		r.SetHeader("Access-Control-Allow-Headers", headers)
	}
	if p.AllowCredential {
		r.SetHeader("Access-Control-Allow-Credentials", "true")
	}
}
