package gateway

import "strconv"

// reasons are the reason phrases of status lines.
var reasons = map[int]string{
	100: "Continue", 101: "Switching Protocols",
	200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
	301: "Moved Permanently", 302: "Moved Temporarily", 303: "See Other", 304: "Not Modified",
	307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
	404: "Not Found", 405: "Not Allowed", 406: "Not Acceptable", 408: "Request Time-out",
	409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed",
	413: "Request Entity Too Large", 414: "Request-URI Too Large", 415: "Unsupported Media Type",
	416: "Requested Range Not Satisfiable", 421: "Misdirected Request", 429: "Too Many Requests",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Temporarily Unavailable", 504: "Gateway Time-out",
	505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}

// titles are the pages' titles where they are not the status and its reason.
var titles = map[int]string{
	302: "302 Found",
	401: "401 Authorization Required",
}

// appendPage appends the error page of a status; nothing if it has none.
func appendPage(dst []byte, status int, detail string) []byte {
	reason, ok := reasons[status]
	if !ok || status < 300 || status == 304 {
		return dst
	}
	title := titles[status]
	if title == "" {
		title = strconv.Itoa(status) + " " + reason
	}
	heading := title
	if detail != "" {
		title = strconv.Itoa(status) + " " + detail
	}
	dst = append(dst, "<!doctype html>\n<html><head><title>"...)
	dst = append(dst, title...)
	dst = append(dst, "</title></head>\n<body><h1>"...)
	dst = append(dst, heading...)
	dst = append(dst, "</h1>"...)
	if detail != "" {
		dst = append(dst, "<p>"...)
		dst = append(dst, detail...)
		dst = append(dst, "</p>"...)
	}
	return append(dst, "<hr><p>millrace</p></body></html>\n"...)
}

// pageType is the Content-Type of a page.
func pageType(status int) string {
	if status == 301 || status == 302 {
		return "text/html"
	}
	return "text/html; charset=utf-8"
}

// pageCloses says whether the connection is closed after a page.
func pageCloses(status int) bool { return status == 400 || status == 413 || status == 500 }
