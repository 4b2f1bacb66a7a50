package conformance

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/tidwall/gjson"
)

// expectation checks one thing of an answer, and may set a variable.
type expectation interface {
	check(res *response, vars *variables) error
}

type expectStatus []int

func (e expectStatus) check(res *response, _ *variables) error {
	if !slices.Contains(e, res.status) {
		return fmt.Errorf("status %d, want %v", res.status, []int(e))
	}
	return nil
}

type expectHeader field

func (e expectHeader) check(res *response, vars *variables) error {
	if got, want := res.header.Get(e.name), vars.expand(e.value); got != want {
		return fmt.Errorf("header %s is %q, want %q", e.name, got, want)
	}
	return nil
}

type expectHeaderMatch struct {
	name    string
	pattern *regexp.Regexp
}

func (e expectHeaderMatch) check(res *response, _ *variables) error {
	if got := res.header.Get(e.name); !e.pattern.MatchString(got) {
		return fmt.Errorf("header %s is %q, want a match of %s", e.name, got, e.pattern)
	}
	return nil
}

type expectNoHeader string

func (e expectNoHeader) check(res *response, _ *variables) error {
	if got := res.header.Values(string(e)); len(got) > 0 {
		return fmt.Errorf("header %s is there: %q", string(e), got)
	}
	return nil
}

// expectText wants a text of an answer to be want.
type expectText struct {
	of   func(*response) (what string, text []byte)
	want string
}

func (e expectText) check(res *response, vars *variables) error {
	if what, text := e.of(res); string(text) != vars.expand(e.want) {
		return fmt.Errorf("%s is not %q", what, vars.expand(e.want))
	}
	return nil
}

// expectMatch wants it to match a pattern.
type expectMatch struct {
	of      func(*response) (what string, text []byte)
	pattern *regexp.Regexp
}

func (e expectMatch) check(res *response, _ *variables) error {
	if what, text := e.of(res); !e.pattern.Match(text) {
		return fmt.Errorf("%s does not match %s", what, e.pattern)
	}
	return nil
}

// expectProtocol is the version of HTTP of the answer.
type expectProtocol string

func (e expectProtocol) check(res *response, _ *variables) error {
	if res.proto != string(e) {
		return fmt.Errorf("the protocol is %s, want %s", res.proto, string(e))
	}
	return nil
}

// expectALPN is what TLS has negotiated, none if nothing.
type expectALPN string

func (e expectALPN) check(res *response, _ *variables) error {
	if res.tls == nil {
		return errWithoutTLS
	}
	got := res.tls.NegotiatedProtocol
	if got == "" {
		got = "none"
	}
	if got != string(e) {
		return fmt.Errorf("TLS negotiated %s, want %s", got, string(e))
	}
	return nil
}

// expectTLS is the version of TLS.
type expectTLS string

func (e expectTLS) check(res *response, _ *variables) error {
	if res.tls == nil {
		return errWithoutTLS
	}
	if res.tls.Version != tlsVersions[string(e)] {
		return fmt.Errorf("TLS is version %#x, want %s", res.tls.Version, string(e))
	}
	return nil
}

var errWithoutTLS = errors.New("the connection is without TLS")

// expectCertificate wants the server to have shown {{cert NAMES}}.
type expectCertificate string

func (e expectCertificate) check(res *response, vars *variables) error {
	if res.tls == nil || len(res.tls.PeerCertificates) == 0 {
		return errWithoutTLS
	}
	shown := res.tls.PeerCertificates[0]
	if shown.Subject.CommonName != string(e) {
		return fmt.Errorf("the certificate is for %q, want that for %q", shown.Subject.CommonName, string(e))
	}
	return shown.CheckSignatureFrom(vars.authority.cert)
}

// expectNoAnswer wants the connection to have ended without a byte, be it by an alert
// of TLS.
type expectNoAnswer struct{}

func (expectNoAnswer) check(res *response, _ *variables) error {
	if !res.closed || res.status != 0 || len(res.received) > 0 {
		return errors.New("there is an answer, or the connection stays open")
	}
	return nil
}

// expectClosed wants the other side to have ended the connection.
type expectClosed struct{}

func (expectClosed) check(res *response, _ *variables) error {
	if !res.closed {
		return errors.New("the connection stays open")
	}
	return nil
}

// expectAnswers is how many answers have come.
type expectAnswers int

func (e expectAnswers) check(res *response, _ *variables) error {
	if res.answers != int(e) {
		return fmt.Errorf("there are %d answers, want %d", res.answers, int(e))
	}
	return nil
}

type capture struct{ name, path string }

func (e capture) check(res *response, vars *variables) error {
	found := gjson.GetBytes(res.body, e.path)
	if !found.Exists() {
		return fmt.Errorf("the body has no %s", e.path)
	}
	vars.values[e.name] = found.String()
	return nil
}
