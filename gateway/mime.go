package gateway

import "bytes"

const plainText = "text/plain; charset=utf-8"

// typeOf is the Content-Type of a local answer, which goes by the extension of
// the request's path as in nginx's mime.types.
func typeOf(path []byte) string {
	name := path[bytes.LastIndexByte(path, '/')+1:]
	i := bytes.LastIndexByte(name, '.')
	if i < 0 || len(name)-i > 8 {
		return plainText
	}
	var lower [8]byte
	ext := lower[:copy(lower[:], name[i+1:])]
	for j, c := range ext {
		if c >= 'A' && c <= 'Z' {
			ext[j] = c | 0x20
		}
	}
	if t, ok := types[string(ext)]; ok {
		return t
	}
	return plainText
}

var types = map[string]string{
	"html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "shtml": "text/html; charset=utf-8",
	"css": "text/css", "xml": "text/xml; charset=utf-8", "txt": plainText, "mml": "text/mathml",
	"js": "application/javascript; charset=utf-8", "rss": "application/rss+xml; charset=utf-8",
	"atom": "application/atom+xml", "json": "application/json", "jad": "text/vnd.sun.j2me.app-descriptor",
	"wml": "text/vnd.wap.wml; charset=utf-8", "htc": "text/x-component",
	"gif": "image/gif", "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "avif": "image/avif",
	"svg": "image/svg+xml", "svgz": "image/svg+xml", "tif": "image/tiff", "tiff": "image/tiff",
	"wbmp": "image/vnd.wap.wbmp", "webp": "image/webp", "ico": "image/x-icon", "jng": "image/x-jng",
	"bmp": "image/x-ms-bmp", "woff": "font/woff", "woff2": "font/woff2",
	"jar": "application/java-archive", "war": "application/java-archive", "ear": "application/java-archive",
	"hqx": "application/mac-binhex40", "doc": "application/msword", "pdf": "application/pdf",
	"ps": "application/postscript", "eps": "application/postscript", "ai": "application/postscript",
	"rtf": "application/rtf", "m3u8": "application/vnd.apple.mpegurl",
	"kml": "application/vnd.google-earth.kml+xml", "kmz": "application/vnd.google-earth.kmz",
	"xls": "application/vnd.ms-excel", "eot": "application/vnd.ms-fontobject",
	"ppt": "application/vnd.ms-powerpoint", "odg": "application/vnd.oasis.opendocument.graphics",
	"odp":  "application/vnd.oasis.opendocument.presentation",
	"ods":  "application/vnd.oasis.opendocument.spreadsheet",
	"odt":  "application/vnd.oasis.opendocument.text",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"wmlc": "application/vnd.wap.wmlc", "wasm": "application/wasm", "7z": "application/x-7z-compressed",
	"cco": "application/x-cocoa", "jardiff": "application/x-java-archive-diff",
	"jnlp": "application/x-java-jnlp-file", "run": "application/x-makeself",
	"pl": "application/x-perl", "pm": "application/x-perl", "prc": "application/x-pilot",
	"pdb": "application/x-pilot", "rar": "application/x-rar-compressed",
	"rpm": "application/x-redhat-package-manager", "sea": "application/x-sea",
	"swf": "application/x-shockwave-flash", "sit": "application/x-stuffit",
	"tcl": "application/x-tcl", "tk": "application/x-tcl", "der": "application/x-x509-ca-cert",
	"pem": "application/x-x509-ca-cert", "crt": "application/x-x509-ca-cert",
	"xpi": "application/x-xpinstall", "xhtml": "application/xhtml+xml", "xspf": "application/xspf+xml",
	"zip": "application/zip", "bin": "application/octet-stream", "exe": "application/octet-stream",
	"dll": "application/octet-stream", "deb": "application/octet-stream", "dmg": "application/octet-stream",
	"iso": "application/octet-stream", "img": "application/octet-stream", "msi": "application/octet-stream",
	"msp": "application/octet-stream", "msm": "application/octet-stream",
	"mid": "audio/midi", "midi": "audio/midi", "kar": "audio/midi", "mp3": "audio/mpeg",
	"ogg": "audio/ogg", "m4a": "audio/x-m4a", "ra": "audio/x-realaudio",
	"3gpp": "video/3gpp", "3gp": "video/3gpp", "ts": "video/mp2t", "mp4": "video/mp4",
	"mpeg": "video/mpeg", "mpg": "video/mpeg", "mov": "video/quicktime", "webm": "video/webm",
	"flv": "video/x-flv", "m4v": "video/x-m4v", "mng": "video/x-mng", "asx": "video/x-ms-asf",
	"asf": "video/x-ms-asf", "wmv": "video/x-ms-wmv", "avi": "video/x-msvideo",
}

// needsCharset says whether nginx would add its charset to a Content-Type.
func needsCharset(contentType []byte) bool {
	switch string(contentType) {
	case "text/html", "text/plain", "text/xml", "text/vnd.wap.wml",
		"application/javascript", "application/rss+xml":
		return true
	}
	return false
}
