package serverless

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

// event is what calls a function, named by its only key.
func (c *compiler) event(key, full string, a *plan.Action, v document.Value) {
	members := v.Members()
	if len(members) != 1 {
		v.Fail("an event is a mapping of one key: http, schedule or trigger")
		return
	}
	switch m := members[0]; m.Key {
	case "http":
		c.http(full, a, m.Value)
	case "schedule":
		c.schedule(key, full, m.Value)
	case "trigger":
		c.triggered(key, full, m.Value)
	case "cloudant", "message_hub":
		m.Value.Fail("events of %s are not supported: the platform has no such feed; fire a trigger from there and use the event trigger", m.Key)
	default:
		m.Value.Fail("the event %s is not known; those known are http, schedule and trigger", m.Key)
	}
}

// http is a verb of a path of the file's API: "GET /path" or its parts. The action
// behind it becomes a web action that only the API can call.
func (c *compiler) http(full string, a *plan.Action, v document.Value) {
	o := plan.Operation{Pos: v.Pos(), Action: full, Response: "json"}
	if v.IsMap() {
		v.Known("path", "method", "resp")
		o.Path, o.Verb = v.Get("path").Text(), v.Get("method").Text()
		if at := v.Get("resp"); !at.Missing() {
			o.Response = strings.ToLower(at.Text())
		}
	} else if words := strings.Fields(v.Text()); len(words) == 2 {
		o.Verb, o.Path = words[0], words[1]
	}
	if o.Path == "" || o.Verb == "" {
		v.Fail(`an http event has the form "GET /path" or {method: GET, path: /path}`)
		return
	}
	o.Verb, o.Path = strings.ToUpper(o.Verb), "/"+strings.TrimPrefix(o.Path, "/")
	c.api.Operations = append(c.api.Operations, o)
	a.Annotations = a.Annotations.
		With(plan.AnnotationWebExport, json.RawMessage("true")).
		With(whisk.AnnotationFinal, json.RawMessage("true"))
	a.Secured = a.Annotations.Find(plan.AnnotationSecret) == nil
}

var (
	cron = regexp.MustCompile(`^cron\(\s*(.*?)\s*\)$`)
	rate = regexp.MustCompile(`^rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)$`)
)

// schedule is an alarm: cron(…) or rate(5 minutes).
func (c *compiler) schedule(key, full string, v document.Value) {
	t := plan.Trigger{Head: plan.Head{Pos: v.Pos(), Name: c.service + "_" + key + "_schedule_trigger"}}
	rule := c.service + "_" + key + "_schedule_rule"
	when := v
	payload := json.RawMessage("{}")
	if v.IsMap() {
		v.Known("rate", "trigger", "rule", "max", "params")
		when = v.Get("rate")
		if at := v.Get("trigger"); !at.Missing() {
			t.Name = at.Text()
		}
		if at := v.Get("rule"); !at.Missing() {
			rule = at.Text()
		}
		if at := v.Get("params"); !at.Missing() {
			payload = at.JSON()
		}
	}
	feed, ok := alarm(strings.TrimSpace(when.Text()))
	if !ok {
		when.Fail(`the schedule %q has neither the form "cron(* * * * *)" nor "rate(5 minutes)"`, when.Text())
		return
	}
	t.Feed, t.FeedParameters = "/whisk.system/alarms/"+feed.name, whisk.KeyValues{feed.when}
	t.FeedParameters = t.FeedParameters.With("trigger_payload", payload)
	if n := v.Get("max").Int(); n != nil {
		t.FeedParameters = t.FeedParameters.With("maxTriggers", json.RawMessage(strconv.Itoa(*n)))
	}
	c.plan.Triggers = append(c.plan.Triggers, t)
	c.plan.Rules = append(c.plan.Rules, plan.Rule{Head: plan.Head{Pos: v.Pos(), Name: rule}, Trigger: "/_/" + t.Name, Action: full})
}

// alarmFeed is a feed of alarms and the parameter that says when.
type alarmFeed struct {
	name string
	when whisk.KeyValue
}

// maxRate bounds the number in rate(…), which no alarm outlives.
const maxRate = 1_000_000

func alarm(text string) (alarmFeed, bool) {
	if m := cron.FindStringSubmatch(text); m != nil {
		fields := len(strings.Fields(m[1]))
		return alarmFeed{"alarm", whisk.KeyValue{Key: "cron", Value: document.Quote(m[1])}}, fields == 5 || fields == 6
	}
	m := rate.FindStringSubmatch(text)
	if m == nil {
		return alarmFeed{}, false
	}
	n, err := strconv.Atoi(m[1])
	minutes := n * map[string]int{"minute": 1, "hour": 60, "day": 1440}[m[2]]
	return alarmFeed{"interval", whisk.KeyValue{Key: "minutes", Value: json.RawMessage(strconv.Itoa(minutes))}}, err == nil && n > 0 && n <= maxRate
}

// triggered links a function to a trigger: its name, or name and rule.
func (c *compiler) triggered(key, full string, v document.Value) {
	var name, rule string
	if v.IsMap() {
		v.Known("name", "rule", "overwrite")
		c.overwrite(v)
		if name, rule = v.Get("name").Text(), v.Get("rule").Text(); name == "" || rule == "" {
			v.Fail("the trigger of the function %s needs a name and a rule", key)
			return
		}
	} else {
		name = v.Text()
		rule = fmt.Sprintf("%s_%s_to_%s", c.service, name, key)
	}
	known := false
	for i := range c.plan.Triggers {
		known = known || c.plan.Triggers[i].Name == name
	}
	if !known {
		c.plan.Triggers = append(c.plan.Triggers, plan.Trigger{Head: plan.Head{Pos: v.Pos(), Name: name}})
	}
	c.plan.Rules = append(c.plan.Rules, plan.Rule{Head: plan.Head{Pos: v.Pos(), Name: rule}, Trigger: "/_/" + name, Action: full})
}

func (c *compiler) trigger(m document.Member) {
	m.Value.Known("parameters", "annotations", "feed", "feed_parameters", "namespace", "overwrite")
	c.overwrite(m.Value)
	c.ownNamespace(m.Value)
	t := plan.Trigger{Head: plan.Head{
		Pos: m.Value.Pos(), Name: m.Key, Parameters: m.Value.Get("parameters").KeyValues(), Annotations: m.Value.Get("annotations").KeyValues(),
	}}
	if at := m.Value.Get("feed"); !at.Missing() {
		n, err := whisk.ParseFullName(at.Text(), "_")
		if err != nil {
			at.Fail("%q is no feed: it has the form /namespace/package/feed", at.Text())
		}
		t.Feed, t.FeedParameters = n.String(), m.Value.Get("feed_parameters").KeyValues()
	}
	c.plan.Triggers = append(c.plan.Triggers, t)
}

func (c *compiler) rule(m document.Member) {
	m.Value.Known("trigger", "action", "annotations", "namespace", "overwrite")
	c.overwrite(m.Value)
	c.ownNamespace(m.Value)
	full := func(key string) string {
		at := m.Value.Get(key)
		text := at.Text()
		if f := c.root.Get("functions").Get(text); key == "action" && !f.Missing() {
			pkg, name := c.nameOf(text, f)
			text = strings.TrimPrefix(pkg+"/"+name, "/")
		}
		if !strings.HasPrefix(text, "/") {
			text = "/_/" + text
		}
		if _, err := whisk.ParseFullName(text, "_"); err != nil {
			m.Value.Fail("the rule %s needs a %s", m.Key, key)
		}
		return text
	}
	c.plan.Rules = append(c.plan.Rules, plan.Rule{
		Head:    plan.Head{Pos: m.Value.Pos(), Name: m.Key, Annotations: m.Value.Get("annotations").KeyValues()},
		Trigger: full("trigger"), Action: full("action"),
	})
}

// apigw is how the API of all http events is served.
func (c *compiler) apigw(v document.Value) {
	v.Known("name", "basepath", "cors", "auth", "rate_limit", "oauth")
	c.api = plan.API{Pos: v.Pos(), Name: c.service, BasePath: "/", Whole: true, Extra: map[string]json.RawMessage{}}
	if at := v.Get("name"); !at.Missing() {
		c.api.Name = at.Text()
	}
	if at := v.Get("basepath"); !at.Missing() {
		c.api.BasePath = "/" + strings.Trim(at.Text(), "/")
	}
	if at := v.Get("cors"); !at.Missing() {
		c.api.NoCORS = !at.Bool()
	}
	if at := v.Get("oauth"); !at.Missing() {
		at.Fail("oauth is not supported: the platform's API gateway asks no other server for tokens")
	}
	c.apiKeys(v.Get("auth"))
	if at := v.Get("rate_limit"); !at.Missing() {
		at.Known("rate", "unit")
		n, unit := at.Get("rate").Int(), at.Get("unit").Text()
		if n == nil || !map[string]bool{"second": true, "minute": true, "hour": true, "day": true}[unit] {
			at.Fail("rate_limit needs a rate and a unit: second, minute, hour or day")
			return
		}
		c.api.Extra["x-ibm-rate-limit"] = json.RawMessage(fmt.Sprintf(`[{"rate":%d,"unit":%q,"units":1}]`, *n, unit))
	}
}

// apiKeys asks callers of the API for a key, and a secret, in headers of these names.
func (c *compiler) apiKeys(v document.Value) {
	if v.Missing() {
		return
	}
	v.Known("key", "secret")
	key, secret := v.Get("key").Text(), v.Get("secret").Text()
	if key == "" {
		v.Fail("auth needs a key: the name of the header that callers send theirs in")
		return
	}
	header := func(name, kind string) string {
		return fmt.Sprintf(`{"in":"header","type":"apiKey","name":%s,"x-key-type":%q}`, document.Quote(name), kind)
	}
	definitions, security := `{"client_id":`+header(key, "clientId"), `[{"client_id":[]`
	if secret != "" {
		definitions += `,"client_secret":` + header(secret, "clientSecret")
		security += `,"client_secret":[]`
	}
	c.api.Extra["securityDefinitions"] = json.RawMessage(definitions + "}")
	c.api.Extra["security"] = json.RawMessage(security + "}]")
}
