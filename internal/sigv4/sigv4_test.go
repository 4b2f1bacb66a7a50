package sigv4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

var example = Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// TestVectors holds signatures that AWS publishes: those of its Signature Version 4
// test suite, by their names there, and the one of the General Reference.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		name, method, target, service, body, token string
		header                                     http.Header
		signed, signature                          string
	}{
		{"get-vanilla", "GET", "https://example.amazonaws.com/", "service", "", "", nil,
			"host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", "POST", "https://example.amazonaws.com/", "service", "", "", nil,
			"host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-vanilla-query-order-key-case", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "service", "", "", nil,
			"host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-x-www-form-urlencoded", "POST", "https://example.amazonaws.com/", "service", "Param1=value1", "",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			"content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"ListUsers of the General Reference", "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "iam", "", "",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
			"content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, c.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.header != nil {
				r.Header = c.header
			}
			who := example
			who.SessionToken = c.token
			Sign(r, []byte(c.body), who, Scope{Region: "us-east-1", Service: c.service, Time: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)})
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + c.service + "/aws4_request, SignedHeaders=" + c.signed + ", Signature=" + c.signature
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if got := r.Header.Get("X-Amz-Date"); got != "20150830T123600Z" {
				t.Errorf("date %s", got)
			}
		})
	}
}

// A session token is sent and signed; a path is encoded once more than it is sent.
func TestTokenAndPath(t *testing.T) {
	r, err := http.NewRequest("GET", "https://example.amazonaws.com/a%20b/%C3%A9", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := canonicalPath(r.URL, "service"); got != "/a%2520b/%25C3%25A9" {
		t.Errorf("path %s", got)
	}
	if got := canonicalPath(r.URL, "s3"); got != "/a%20b/%C3%A9" {
		t.Errorf("path for S3 %s", got)
	}
	who := example
	who.SessionToken = "token"
	Sign(r, nil, who, Scope{Region: "us-east-1", Service: "service", Time: time.Now()})
	if r.Header.Get("X-Amz-Security-Token") != "token" || !strings.Contains(r.Header.Get("Authorization"), "SignedHeaders=host;x-amz-date;x-amz-security-token,") {
		t.Errorf("headers %v", r.Header)
	}
}

// Names are in order first, then the values of each.
func TestQuery(t *testing.T) {
	query := url.Values{"a": {"2", "1"}, "a1": {"0"}, "a-b": {"x y"}, "": {""}}
	if got, want := canonicalQuery(query), "=&a=1&a=2&a-b=x%20y&a1=0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
