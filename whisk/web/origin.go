package web

import "net/http"

// withheld are the headers that an action cannot set, by canonical name. The
// first belong to the connection and the message, which are ours. The others
// speak for the whole origin, which web actions share with each other and with
// the REST API: they would widen the reach of a service worker, empty what other
// pages keep, bind browsers to another port or protocol, or have them report
// what they ask of others. The last name the request, and are ours too.
var withheld = map[string]bool{
	"Connection": true, "Content-Length": true, "Date": true, "Http2-Settings": true, "Keep-Alive": true,
	"Proxy-Authenticate": true, "Proxy-Connection": true, "Server": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,

	"Alt-Svc": true, "Clear-Site-Data": true, "Expect-Ct": true, "Nel": true, "Public-Key-Pins": true,
	"Public-Key-Pins-Report-Only": true, "Report-To": true, "Service-Worker-Allowed": true, "Set-Login": true,
	"Strict-Transport-Security": true,

	"X-Openwhisk-Activation-Id": true, "X-Request-Id": true,
}

// policy makes an answer a document of an origin that nothing else has: it may
// run scripts, but these reach the REST API, cookies and other pages' storage
// only as pages from elsewhere do.
const policy = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-scripts allow-top-navigation-by-user-activation"

// sandbox adds the policy beside those of the action: browsers heed them all.
func sandbox(res *response) {
	if res.header == nil {
		res.header = http.Header{}
	}
	res.header.Add("Content-Security-Policy", policy)
}
