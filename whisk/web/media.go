package web

import (
	"mime"
	"strconv"
	"strings"
)

// class is how a body of some media type is passed between HTTP and JSON.
type class int

const (
	binary   class = iota // as base64
	textual               // as a string
	jsonText              // as JSON
	form                  // as names and values
)

const (
	typeJSON  = "application/json"
	typeForm  = "application/x-www-form-urlencoded"
	typeHTML  = "text/html; charset=UTF-8"
	typePlain = "text/plain; charset=UTF-8"
	typeSVG   = "image/svg+xml"
)

// media is a media type.
type media struct {
	name   string // type/subtype, in lower case
	params map[string]string
}

// parseMedia reads the value of a Content-Type header.
func parseMedia(value string) (m media, ok bool) {
	if value == typeJSON { // what most clients and actions send
		return media{name: typeJSON}, true
	}
	name, params, err := mime.ParseMediaType(value)
	main, sub, _ := strings.Cut(name, "/")
	return media{name, params}, err == nil && main != "" && sub != ""
}

// charsetTypes are the types outside text/ that are text in a charset which the
// sender chooses. Types that are not known are binary, as they are in OpenWhisk,
// unless the sender says in which charset they are.
var charsetTypes = map[string]bool{
	"application/atom+xml": true, "application/base64": true, "application/javascript": true,
	"application/problem+xml": true, "application/rss+xml": true, "application/soap+xml": true,
	"application/vnd.google-earth.kml+xml": true, "application/x-javascript": true, "application/x-latex": true,
	"application/x-sh": true, "application/x-shar": true, "application/x-tcl": true, "application/xhtml+xml": true,
	"application/xml": true, "application/xml-dtd": true,
}

func (m *media) class() class {
	switch main, _, _ := strings.Cut(m.name, "/"); main {
	case "text":
		return textual
	case "image", "audio", "video", "font", "model", "multipart":
		return binary
	}
	switch {
	case m.name == typeJSON || strings.HasSuffix(m.name, "+json"):
		return jsonText
	case m.name == typeForm:
		return form
	case charsetTypes[m.name] || m.params["charset"] != "":
		return textual
	}
	return binary
}

// header is the value of Content-Type for a body of this type, which is in UTF-8
// if it is text.
func (m *media) header() string {
	value := m.name
	if len(m.params) > 0 {
		params := make(map[string]string, len(m.params))
		for k, v := range m.params {
			if k != "charset" {
				params[k] = v
			}
		}
		value = mime.FormatMediaType(m.name, params)
	}
	if m.class() == textual {
		value += "; charset=UTF-8"
	}
	return value
}

// acceptable tells whether a client that sends these Accept headers takes the
// answer. Errors are not negotiated, and there is nothing to refuse in no body.
func acceptable(accept []string, res *response) bool {
	if len(accept) == 0 || res.status >= 400 || res.body == "" {
		return true
	}
	name, _, _ := strings.Cut(res.contentType, ";")
	main, _, _ := strings.Cut(name, "/")
	quality, best := 1.0, -1 // of the most specific range that covers the type
	ranges := 0
	for _, value := range accept {
		for value != "" {
			var item string
			item, value, _ = strings.Cut(value, ",")
			r, params, _ := strings.Cut(item, ";")
			rangeMain, rangeSub, ok := strings.Cut(strings.TrimSpace(r), "/")
			if !ok {
				continue
			}
			ranges++
			if s := specificity(rangeMain, rangeSub, main, name[len(main)+1:]); s > best {
				quality, best = qualityOf(params), s
			}
		}
	}
	return ranges == 0 || best >= 0 && quality > 0
}

// specificity is how closely a range fits a type, -1 if not at all.
func specificity(rangeMain, rangeSub, main, sub string) int {
	switch {
	case rangeMain == "*" && rangeSub == "*":
		return 0
	case !strings.EqualFold(rangeMain, main):
		return -1
	case rangeSub == "*":
		return 1
	case strings.EqualFold(rangeSub, sub):
		return 2
	}
	return -1
}

// qualityOf reads the parameter q; one that is missing or no number is 1.
func qualityOf(params string) float64 {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
			return q
		}
	}
	return 1
}
