package apis

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/jsonvalue"
	"millrace/whisk"
	"millrace/whisk/runtime"
	"millrace/whisk/runtime/builtin"
	"millrace/whisk/system"
)

// Functions answers the management's functions by their names, which begin with
// apimgmt/.
func (a *APIs) Functions() map[string]builtin.Func {
	return map[string]builtin.Func{
		"apimgmt/createApi":     a.function(msgKeyRequired, a.create),
		"apimgmt/getApi":        a.function(msgInvalidAuth, a.get),
		"apimgmt/deleteApi":     a.function(msgInvalidAuth, a.delete),
		"apimgmt/subscriptions": a.function(msgInvalidAuth, a.subscriptions),
	}
}

// request is a call of the management by the owner of a namespace.
type request struct {
	object           // the arguments
	owner            *whisk.Identity
	host             string // by which the platform was reached, host:port
	basePath, method string
}

// function makes a function of what carries out a request and answers a body.
// Its refusals become the answers that wsk knows; anonymous is what a caller
// without a key is told.
func (a *APIs) function(anonymous string, do func(context.Context, *request) (any, error)) builtin.Func {
	return func(ctx context.Context, run *runtime.Run) (json.RawMessage, error) {
		r := a.parseRequest(run)
		if r == nil {
			return failure(anonymous)
		}
		out, err := do(ctx, r)
		if err == nil {
			return success(out)
		}
		text, ok := asRefusal(err)
		if !ok {
			a.cfg.Log.Error("managing an API", "namespace", r.owner.Namespace, "activation", run.ActivationID, "error", err)
			text = msgInternal
		}
		return failure(text)
	}
}

// answer is the result of a web action.
type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       any               `json:"body"`
}

var asJSON = map[string]string{"Content-Type": "application/json"}

func success(body any) (json.RawMessage, error) { return jsonvalue.Encode(answer{200, asJSON, body}) }

func failure(text string) (json.RawMessage, error) {
	type body struct {
		Error string `json:"error"`
	}
	type result struct {
		Error answer `json:"error"`
	}
	return jsonvalue.Encode(result{answer{502, asJSON, body{text}}})
}

// parseRequest answers nil unless the caller has proved who it is, to the web
// handler: only calls in the name of the actions' own namespace come from there.
// A tenant id that is not the caller's is as good as no key.
func (a *APIs) parseRequest(run *runtime.Run) *request {
	args, err := parseObject(run.Args)
	if err != nil || run.Namespace != system.Namespace {
		return nil
	}
	user := args.text("__ow_user")
	if user == "" {
		return nil
	}
	r := &request{object: args, owner: a.cfg.Tenants.Namespace(user), basePath: args.text("basepath"), method: args.text("__ow_method")}
	if r.owner == nil || r.owner.UUID == "" {
		return nil
	}
	headers, err := parseObject(args["__ow_headers"])
	if err != nil {
		return nil
	}
	if given := args.text("spaceguid"); given != "" && !a.owns(user, given) {
		return nil
	}
	if host := headers.text("host"); validHost(host) {
		r.host = host
	}
	return r
}

// owns tells whether a tenant id is that of a key of a namespace, or of its APIs.
func (a *APIs) owns(namespace, tenant string) bool {
	if a.cfg.Tenants.HasKey(namespace, tenant) {
		return true
	}
	return slices.ContainsFunc(a.list(namespace), func(p *api) bool { return strings.EqualFold(tenant, p.doc.Tenant) })
}

// shown is an API as its owner sees it.
type shown struct {
	Namespace   string          `json:"namespace"`
	TenantID    string          `json:"tenantId"`
	Activated   bool            `json:"gwApiActivated"`
	URL         string          `json:"gwApiUrl"`
	Description json.RawMessage `json:"apidoc"`
}

const notUsed = "Not Used"

func (a *APIs) show(p *api, host string) shown {
	return shown{notUsed, notUsed, true, a.publicURL(p, host), p.doc.Swagger}
}

// create makes an API, or adds to one, or replaces it by a whole Swagger text.
func (a *APIs) create(ctx context.Context, r *request) (any, error) {
	n, err := parseCreation(r)
	if err != nil {
		return nil, err
	}
	base := normalBase(n.basePath)
	p, err := a.change(ctx, r.owner.Namespace, base, func(old *api) (*document, error) {
		return a.created(r, n, base, old)
	})
	if err != nil {
		return nil, err
	}
	return a.show(p, r.host), nil
}

// created is what an API becomes; old is nil for a new one. The id in the URLs of
// a namespace's APIs is that of the key it had when it made the first. The error
// is a refusal.
func (a *APIs) created(r *request, n *creation, base string, old *api) (*document, error) {
	used, tenant := a.usage(r.owner.Namespace, base)
	doc := &document{Tenant: cmp.Or(tenant, strings.ToLower(r.owner.UUID))}
	if old != nil {
		*doc = *old.doc
	} else if used.apis >= a.quota.apis {
		return nil, refusal(msgTooMany("APIs in the namespace", a.quota.apis))
	}
	doc.Host = r.host
	var err error
	if doc.Swagger, err = n.applyTo(old); err != nil {
		return nil, err
	}
	if used.bytes+len(doc.Swagger) > a.quota.bytes {
		return nil, refusal(msgTooMany("bytes in the Swagger texts of the namespace", a.quota.bytes))
	}
	return doc, nil
}

// listed is an API in the answer of getApi.
type listed struct {
	ID    string `json:"id"`
	Key   string `json:"key"`
	Value shown  `json:"value"`
}

// get answers the APIs with a base path or, if it has no slash in front, a name;
// without one, all.
func (a *APIs) get(_ context.Context, r *request) (any, error) {
	all := make([]listed, 0)
	for _, p := range a.selected(r) {
		all = append(all, listed{notUsed, notUsed, a.show(p, r.host)})
	}
	skip, limit := r.count("skip"), r.count("limit")
	all = all[min(skip, len(all)):]
	if limit > 0 {
		all = all[:min(limit, len(all))]
	}
	return struct {
		APIs []listed `json:"apis"`
	}{all}, nil
}

func (r *request) count(name string) int {
	n, err := strconv.Atoi(r.text(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (a *APIs) selected(r *request) []*api {
	var out []*api
	for _, p := range a.list(r.owner.Namespace) {
		switch {
		case r.basePath == "":
		case strings.HasPrefix(r.basePath, "/") && normalBase(r.basePath) != p.base:
			continue
		case !strings.HasPrefix(r.basePath, "/") && r.basePath != p.title:
			continue
		}
		out = append(out, p)
	}
	return out
}

// one answers the one API that a request names. Errors are refusals that begin
// with doing.
func (a *APIs) one(r *request, doing string) (*api, error) {
	if r.basePath == "" {
		return nil, refusal(msgBasePathRequired)
	}
	all := a.selected(r)
	switch len(all) {
	case 0:
		return nil, refusal(doing + msgNoAPI(r.basePath))
	case 1:
		return all[0], nil
	}
	return nil, refusal(doing + msgManyAPIs(r.basePath))
}

// delete removes an API, a path of it or a verb of a path.
func (a *APIs) delete(ctx context.Context, r *request) (any, error) {
	path, verb := r.text("relpath"), strings.ToLower(r.text("operation"))
	if path != "" {
		path = "/" + strings.TrimPrefix(path, "/")
	}
	if r.basePath != "" && path == "" && verb != "" {
		return nil, refusal(msgPathRequired)
	}
	p, err := a.one(r, deleting)
	if err != nil {
		return nil, err
	}
	_, err = a.change(ctx, p.namespace, p.base, func(old *api) (*document, error) {
		if old == nil || path == "" {
			return nil, nil
		}
		s, err := parseSwagger(old.doc.Swagger)
		if err != nil {
			return nil, err
		}
		left, err := s.remove(path, verb)
		if err != nil || !left {
			return nil, err
		}
		doc := *old.doc
		doc.Swagger, err = s.encode()
		return &doc, err
	})
	return struct{}{}, err
}

// subscriptions lists, adds and removes the clients of an API that asks for keys.
func (a *APIs) subscriptions(ctx context.Context, r *request) (any, error) {
	p, err := a.one(r, "")
	if err != nil {
		return nil, err
	}
	switch r.method {
	case "get", "head":
		return showSubscriptions(p.doc.Subscriptions), nil
	case "delete":
		return struct{}{}, a.unsubscribe(ctx, p, r.text("id"))
	}
	return a.subscribe(ctx, p, r)
}

// shownSubscription is a client of an API as the API's owner sees it. The key
// and its secret are told once, when they are made.
type shownSubscription struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Created int64  `json:"created"`
	Key     string `json:"key,omitempty"`
	Secret  string `json:"secret,omitempty"`
}

func showSubscriptions(all []subscription) any {
	list := make([]shownSubscription, len(all))
	for i := range all {
		list[i] = shownSubscription{ID: all[i].id(), Name: all[i].Name, Created: all[i].Created}
	}
	return struct {
		Subscriptions []shownSubscription `json:"subscriptions"`
	}{list}
}

func (a *APIs) subscribe(ctx context.Context, p *api, r *request) (any, error) {
	s, key, secret, err := newSubscription(r.text("name"), r.text("key"), r.text("secret"), time.Now())
	if err != nil {
		return nil, err
	}
	_, err = a.change(ctx, p.namespace, p.base, func(old *api) (*document, error) {
		if old == nil {
			return nil, refusal(msgNoAPI(p.base))
		}
		doc := *old.doc
		var err error
		doc.Subscriptions, err = subscribed(old.doc.Subscriptions, s)
		return &doc, err
	})
	return shownSubscription{s.id(), s.Name, s.Created, key, secret}, err
}

func (a *APIs) unsubscribe(ctx context.Context, p *api, id string) error {
	if id == "" {
		return refusal(msgIDRequired)
	}
	_, err := a.change(ctx, p.namespace, p.base, func(old *api) (*document, error) {
		if old == nil {
			return nil, refusal(msgNoAPI(p.base))
		}
		doc := *old.doc
		doc.Subscriptions = without(old.doc.Subscriptions, id)
		if len(doc.Subscriptions) == len(old.doc.Subscriptions) {
			return nil, refusal(msgNoSubscription(id))
		}
		return &doc, nil
	})
	return err
}

// validHost tells whether a Host header is a host with or without a port.
func validHost(host string) bool {
	u, err := url.Parse("http://" + host)
	return err == nil && host != "" && u.Host == host && u.Hostname() != "" && u.User == nil
}

// hostname is the host of a Host header; the loopback's name if there is none.
func hostname(host string) string {
	if u, err := url.Parse("http://" + host); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "localhost"
}

// publicURL is where clients reach an API.
func (a *APIs) publicURL(p *api, clientHost string) string {
	base := strings.TrimSuffix(a.cfg.URL, "/")
	if base == "" {
		base = "http://" + net.JoinHostPort(hostname(clientHost), strconv.Itoa(a.cfg.Port))
	}
	return strings.TrimRight(base+servedBelow+p.doc.Tenant+p.basePath, "/") // clients put a path behind it
}
