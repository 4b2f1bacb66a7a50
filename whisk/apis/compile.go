package apis

import (
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// api is an API ready to serve. It never changes, but for the counts of limit.
type api struct {
	namespace string
	doc       *document
	revision  int64
	base      string // normalised: /a/b, or / alone
	basePath  string // as written
	title     string

	root    node
	cors    corsMode
	checks  []keyCheck
	clients map[[sha256.Size]byte]*subscription
	limit   *limit
}

// action is what an operation does with a request.
type action struct {
	target  *url.URL // without the request's path
	local   bool     // a web action of this platform
	path    bool     // the request's path follows the target's
	verb    string   // upper case; empty: the request's own
	headers []header
}

// header is one that the gateway sets for the backend.
type header struct{ name, value string }

// setHeader begins the name of a variable that is a header for the backend.
const setHeader = "message.headers."

// normalBase is what an API's base path is known by: without a slash at the end.
func normalBase(base string) string {
	return "/" + strings.Trim(base, "/")
}

// compile makes an API ready to serve. Errors are refusals.
func (a *APIs) compile(namespace string, doc *document) (*api, error) {
	if len(doc.Swagger) > maxDocument {
		return nil, refusal(msgTooMany("bytes in the Swagger text", maxDocument))
	}
	s, err := parseSwagger(doc.Swagger)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	p := &api{namespace: namespace, doc: doc, base: normalBase(s.basePath()), basePath: s.basePath(), title: s.title()}
	if _, _, err := splitPath(p.base); err != nil {
		return nil, refusal(msgBadPath(p.base))
	}
	if err := a.compileOperations(p, s); err != nil {
		return nil, err
	}
	if err := p.compilePolicies(s); err != nil {
		return nil, err
	}
	p.clients = make(map[[sha256.Size]byte]*subscription, len(doc.Subscriptions))
	for i := range doc.Subscriptions {
		c := &doc.Subscriptions[i]
		p.clients[c.key()] = c
	}
	return p, nil
}

func (a *APIs) compileOperations(p *api, s *swagger) error {
	operations, err := s.operations()
	if err != nil {
		return err
	}
	steps, err := s.assembly()
	if err != nil {
		return err
	}
	backends, err := steps.backends()
	if err != nil {
		return err
	}
	for i := range operations {
		o := &operations[i]
		act, err := a.compileAction(p, o, stepsOf(backends, o.id()))
		if err != nil {
			return err
		}
		if err := p.root.add(o.path, strings.ToUpper(o.verb), act); err != nil {
			return err
		}
	}
	return nil
}

// compileAction answers nil for an operation without a backend.
func (a *APIs) compileAction(p *api, o *operation, steps []step) (*action, error) {
	act := &action{}
	text := o.backend()
	if target := targetOf(steps); target != nil {
		text = target.TargetURL
		if target.Verb != "" && !strings.EqualFold(target.Verb, "keep") {
			act.verb = strings.ToUpper(target.Verb)
		}
	} else if len(pathParameters(o.path)) > 0 {
		act.path = true
	}
	if text == "" {
		return nil, nil
	}
	if act.verb != "" && !slices.Contains(verbs, strings.ToLower(act.verb)) {
		return nil, refusal(msgVerb(act.verb))
	}
	text, cut := strings.CutSuffix(text, requestPath)
	act.path = act.path || cut
	u, err := url.Parse(oneScheme(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" || u.User != nil {
		return nil, refusal(msgBadBackend(o.id()))
	}
	act.target, act.local = u, a.isLocal(u, p.doc.Host)
	act.headers, err = compileHeaders(steps)
	return act, err
}

// oneScheme undoes what the Serverless plugin does to an API host that is
// written with its scheme: it puts https:// in front.
func oneScheme(target string) string {
	if inner, ok := strings.CutPrefix(target, "https://"); ok && (strings.HasPrefix(inner, "http://") || strings.HasPrefix(inner, "https://")) {
		return inner
	}
	return target
}

// webActions is where the platform serves them.
const webActions = "/api/v1/web/"

// isLocal tells whether a backend is a web action of this platform: one at an
// address of its own, at the host where the API's owner reaches it, or on this
// machine's loopback, which nothing but the platform is reached on.
func (a *APIs) isLocal(u *url.URL, ownHost string) bool {
	if !strings.HasPrefix(u.Path, webActions) {
		return false
	}
	if strings.EqualFold(u.Host, ownHost) && ownHost != "" || isLoopback(u.Hostname()) {
		return true
	}
	return a.cfg.Local(u.Scheme + "://" + u.Host)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func compileHeaders(steps []step) ([]header, error) {
	var out []header
	for _, s := range steps {
		if s.SetVariable == nil {
			continue
		}
		for _, set := range s.SetVariable.Actions {
			name, ok := strings.CutPrefix(set.Set, setHeader)
			if !ok {
				continue
			}
			var o = object{"value": set.Value}
			value := o.text("value")
			if !validHeader(name, value) {
				return nil, refusal(msgUnreadable(set.Set))
			}
			out = append(out, header{name, value})
		}
	}
	return out, nil
}

// hopHeaders concern one connection, or are the gateway's own affair.
var hopHeaders = []string{"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}

func validHeader(name, value string) bool {
	if name == "" || slices.Contains(hopHeaders, strings.ToLower(name)) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// compilePolicies reads CORS, keys and rates.
func (p *api) compilePolicies(s *swagger) error {
	name := s.configurationName()
	configuration, err := parseObject(s.doc[name])
	if err != nil {
		return refusal(msgUnreadable(name))
	}
	if raw := configuration["cors"]; len(raw) > 0 {
		var cors struct{ Enabled *bool }
		if err := json.Unmarshal(raw, &cors); err != nil {
			return refusal(msgUnreadable("cors"))
		}
		switch {
		case cors.Enabled == nil:
		case *cors.Enabled:
			p.cors = corsOn
		default:
			p.cors = corsOff
		}
	}
	if p.checks, err = parseChecks(s.doc["securityDefinitions"]); err != nil {
		return err
	}
	p.limit, err = parseLimit(s.doc)
	return err
}
