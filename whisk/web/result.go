package web

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"
	"golang.org/x/net/http/httpguts"

	"millrace/whisk"
)

// extension is how a result becomes an answer.
type extension int

const (
	extHTTP extension = iota
	extJSON
	extHTML
	extSVG
	extText
)

var suffixes = [...]string{extHTTP: ".http", extJSON: ".json", extHTML: ".html", extSVG: ".svg", extText: ".text"}

// transcode makes the answer of a result. Errors are *whisk.Error 400 or 404.
func (e extension) transcode(result gjson.Result) (response, error) {
	switch e {
	case extJSON:
		if !result.IsObject() && !result.IsArray() {
			return response{}, bad(msgNotValid(typeJSON))
		}
		return answer(typeJSON, pretty(result.Raw)), nil
	case extHTML:
		return document(result, "html", "text/html", typeHTML)
	case extSVG:
		return document(result, "svg", typeSVG, typeSVG)
	case extText:
		return plainText(result)
	}
	return message(result)
}

// answer is a successful one.
func answer(contentType, body string) response {
	return response{status: http.StatusOK, contentType: contentType, body: body}
}

// document answers the text that a result is, or has as body or under name.
func document(result gjson.Result, name, mediaType, contentType string) (response, error) {
	if result.IsObject() {
		result = either(result, "body", name)
	}
	if result.Type != gjson.String {
		return response{}, bad(msgNotValid(mediaType))
	}
	return answer(contentType, result.Str), nil
}

// plainText answers what a result is, or has as body or text, whatever its type.
func plainText(result gjson.Result) (response, error) {
	if result.IsObject() {
		if result = either(result, "body", "text"); !result.Exists() {
			return response{}, &whisk.Error{Status: http.StatusNotFound, Msg: msgNoProperty}
		}
	}
	switch {
	case result.Type == gjson.String:
		return answer(typePlain, result.Str), nil
	case result.IsObject() || result.IsArray():
		return answer(typePlain, pretty(result.Raw)), nil
	}
	return answer(typePlain, result.Raw), nil
}

// either answers the first of two members that an object has.
func either(object gjson.Result, first, second string) gjson.Result {
	var f, s gjson.Result
	object.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case first:
			f = value
		case second:
			s = value
		}
		return true
	})
	if f.Exists() {
		return f
	}
	return s
}

var errNotHTTP = errors.New("not an HTTP message")

// message answers the HTTP message that a result describes: an object with
// statusCode, headers and body, all optional.
func message(result gjson.Result) (response, error) {
	if !result.IsObject() {
		return response{}, bad(msgNotValid("message/http"))
	}
	var status, headers, body gjson.Result
	result.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "statusCode":
			status = value
		case "headers":
			headers = value
		case "body":
			body = value
		}
		return true
	})
	var res response
	contentType, err := res.takeHeaders(headers)
	if err != nil {
		return response{}, bad(msgNotValid("message/http"))
	}
	empty := body.Type == gjson.Null || body.Type == gjson.String && body.Str == ""
	if res.status, err = statusOf(status, empty); err != nil {
		return response{}, bad(msgNotValid("message/http"))
	}
	if empty {
		return res, nil
	}
	return res, res.takeBody(contentType, body)
}

// statusOf reads a status: a whole number, or a string of one. Those below 200
// are not answers in HTTP but announce one.
func statusOf(v gjson.Result, emptyBody bool) (int, error) {
	n := http.StatusOK
	var err error
	switch v.Type {
	case gjson.Number:
		if n = int(v.Num); float64(n) != v.Num {
			return 0, errNotHTTP
		}
	case gjson.String:
		n, err = strconv.Atoi(v.Str)
	default:
		if v.Exists() {
			return 0, errNotHTTP
		}
		if emptyBody {
			n = http.StatusNoContent
		}
	}
	if err != nil || n < 200 || n > 999 {
		return 0, errNotHTTP
	}
	return n, nil
}

// maxHeaders bounds the headers of an answer, in bytes: no client takes as many.
const maxHeaders = 64 << 10

// takeHeaders takes over the headers of a result except for its content type,
// which it answers, and those that are not an action's to set.
func (res *response) takeHeaders(v gjson.Result) (contentType string, err error) {
	if !v.Exists() {
		return "", nil
	}
	if !v.IsObject() {
		return "", errNotHTTP
	}
	res.header = http.Header{}
	v.ForEach(func(key, value gjson.Result) bool {
		if !value.IsArray() {
			err = res.takeHeader(key.Str, value, &contentType)
			return err == nil
		}
		value.ForEach(func(_, item gjson.Result) bool {
			err = res.takeHeader(key.Str, item, &contentType)
			return err == nil
		})
		return err == nil
	})
	return contentType, err
}

func (res *response) takeHeader(name string, v gjson.Result, contentType *string) error {
	var value string
	switch v.Type {
	case gjson.String:
		value = v.Str
	case gjson.Number, gjson.True, gjson.False:
		value = v.Raw
	default:
		return errNotHTTP
	}
	if res.headerBytes += len(name) + len(value); res.headerBytes > maxHeaders {
		return errNotHTTP
	}
	if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
		return errNotHTTP
	}
	switch name = http.CanonicalHeaderKey(name); {
	case name == "Content-Type":
		if *contentType == "" {
			*contentType = value
		}
	case !withheld[name]:
		res.header.Add(name, value)
	}
	return nil
}

// takeBody sets the body, which is not empty, and its type.
func (res *response) takeBody(contentType string, body gjson.Result) error {
	isText := body.Type == gjson.String
	if contentType == "" {
		contentType = typeJSON
		if isText {
			contentType = typeHTML
		}
	}
	m, known := parseMedia(contentType)
	if !known {
		return bad(msgUnknownType)
	}
	class := m.class()
	res.contentType = m.header()
	switch {
	case !isText && class == jsonText:
		res.body = body.Raw
	case !isText:
		return bad(msgTypeMismatch)
	case class == binary, class == jsonText && whisk.IsBase64(body.Str):
		decoded, err := decodeBase64(body.Str)
		if err != nil {
			return bad(msgTypeMismatch)
		}
		res.body = text(decoded)
	default:
		res.body = body.Str
	}
	return nil
}

// decodeBase64 decodes text whose padding may be missing.
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(s)
	}
	return b, err
}
